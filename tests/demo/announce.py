"""What the running demo prints: where everything is, and commands that work as they stand."""

import os
from pathlib import Path

from tests.demo.layout import ROOT, Layout
from tests.demo.people import AGENT, AGENT_SECRET, ALICE, OMAR, PEOPLE, RITA, Person


def shown_path(path: Path) -> str:
    """Return a path as somebody in the root of the repository would write it."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def write_terminals(layout: Layout) -> None:
    """Write a file for each person, which makes a terminal theirs: `. var/demo/as-alice`."""
    for person in PEOPLE:
        (layout.folder / f"as-{person.short}").write_text(
            f"# Makes this terminal the one of {person.name}, at the root of the repository.\n"
            f'export HOLDPOINT_CONFIG="{layout.settings}"\n'
            f'export HOLDPOINT_TOKENS="{layout.tokens(person.short)}"\n'
            f'export HOLDPOINT_URL="{layout.url}"\n'
            f'export PATH="{ROOT / ".venv" / "bin"}:$PATH"\n',
            "utf-8",
        )


def announcement(layout: Layout) -> str:
    """Return the whole text."""
    folder = shown_path(layout.folder)
    flows = f"{folder}/var/recordings/sessions/*/*.flows"
    return f"""
Everything listens on 127.0.0.1 alone. Files: {folder} (made anew at every start, but with --keep).

  console            {layout.console}   log in as {_login(RITA)}
  gateway, routes    {layout.url}
  gateway, proxy     {layout.proxy}   for HTTPS_PROXY, authority in {shown_path(layout.gateway_ca)}
  identity provider  {layout.issuer}
  settings           {shown_path(layout.settings)}

  people             {_login(ALICE)}, asks; {_login(RITA)}, reviews
                     {_login(OMAR)}, reviews too, for rules that ask for two: . {folder}/as-omar
  agent              {AGENT} / {AGENT_SECRET}, by client credentials; Alice answers for it

A terminal for Alice, at the root of the repository:

  . {folder}/as-alice
  holdpoint login --target demo
  export HOLDPOINT_TOKEN=$(holdpoint token --target demo)
  python -m tests.demo.call                                  # the tools
  python -m tests.demo.call read_secret name=billing         # allowed, masked
  python -m tests.demo.call write_note name=todo text=hello  # waits for Rita
  python -m tests.demo.call drop_everything                  # denied
  curl -s {layout.url} -H "Authorization: Bearer $HOLDPOINT_TOKEN" -H 'Accept: application/json, text/event-stream' \\
    -H 'Content-Type: application/json' -H 'MCP-Protocol-Version: 2025-11-25' \\
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"drop_everything","arguments":{{}}}}}}'

A terminal for Rita (or the console):

  . {folder}/as-rita
  holdpoint login --target demo
  holdpoint approvals list
  holdpoint approvals approve ID --comment "go on"
  holdpoint explain ID                                       # an id from any refusal

By HTTPS_PROXY, with TLS on both sides, as Alice:

  holdpoint login --target notes-tls
  HOLDPOINT_TOKEN=$(holdpoint token --target notes-tls) HTTPS_PROXY={layout.proxy} \\
    SSL_CERT_FILE={shown_path(layout.gateway_ca)} \\
    python -m tests.demo.call --url {layout.tls_url} read_note name=welcome

What was recorded:

  holdpoint sessions list
  holdpoint audit verify
  mitmweb -n -s addons/viewer.py -r "$(ls -t {flows} | head -n 1)"

Another MCP client: docs/how-to/connect-an-mcp-client.md. Ctrl-C stops everything.
"""


def _login(person: Person) -> str:
    return f"{person.email} / {person.password}"


def said_by(lines: list[str], last: int = 15) -> str:
    """Return the last lines of a program."""
    return os.linesep.join(lines[-last:])
