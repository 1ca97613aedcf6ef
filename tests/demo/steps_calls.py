"""Steps of the tour: who may call, what they may see, and the second road."""

import asyncio
import json
import os
import subprocess
import sys

from tests.demo.browser import fill_in
from tests.demo.call import connect, text_of
from tests.demo.layout import DEMO_TOKEN, HOLDPOINT, ROOT
from tests.demo.people import ALICE, RITA, Person, agent_token, plain_client
from tests.demo.story import Story
from tests.fakes.notes_server import SECRET_NOTE
from tests.fakes.processes import Program

HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}


async def no_token(story: Story) -> None:
    """Nobody is anybody without a token."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read_note", "arguments": {}}}
    before = len(story.parts.notes.seen.requests)
    with plain_client() as client:
        answer = client.post(story.layout.url, json=message, headers=HEADERS)
    story.tell(f"POST {story.layout.url} -> {answer.status_code}")
    story.tell(f"WWW-Authenticate: {answer.headers.get('www-authenticate', '')}")
    story.tell(answer.text)
    story.check(answer.status_code == 401, "the status is not 401")
    said = answer.json()
    story.check(said["jsonrpc"] == "2.0" and said["error"]["data"]["kind"] == "unauthenticated", "no JSON-RPC refusal")
    story.check(len(story.parts.notes.seen.requests) == before, "the notes server was asked")
    story.tell("refused by its headers, before its body was read; the notes server saw nothing")


async def logins(story: Story) -> None:
    """People log in through the identity provider's own page."""
    for person in (ALICE, RITA):
        story.tell(f"holdpoint login as {person.email} ({person.group}): {await _log_in(story, person)}")
    story.alice_token = (await story.run(ALICE, "token", "--target", "demo")).out
    story.check(story.alice_token.count(".") == 2, "`holdpoint token` printed no token")
    story.tell(f"holdpoint token: {len(story.alice_token)} characters, for {story.layout.url} only")
    story.secrets.append(story.alice_token)


async def _log_in(story: Story, person: Person) -> str:
    """Run `holdpoint login`, and fill in the form where a browser would. Return what the command said last."""
    command = [*HOLDPOINT, "login", "--no-browser", "--target", "demo"]
    program = Program(command, env=story.layout.environment(person.short))
    try:
        line = await asyncio.to_thread(program.wait_for, "log in at ")
        await asyncio.to_thread(fill_in, line.rpartition(" ")[2].strip(), person)
        status = await asyncio.to_thread(program.wait)
    finally:
        program.stop()
    story.check(status == 0, f"`holdpoint login` ended with {status}: {program.output}")
    return program.lines[-1]


async def list_tools(story: Story) -> None:
    """Both generations of the protocol, by the SDK as it comes."""
    for mode, version in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
        async with connect(story.layout.url, story.alice_token, mode=mode) as client:
            names = [t.name for t in (await client.list_tools()).tools]
            story.tell(f"{client.protocol_version}: {', '.join(names)}")
            story.check(client.protocol_version == version, f"the SDK speaks {client.protocol_version}, not {version}")
            story.check("write_note" in names, "the tools are not those of the notes server")


async def masked(story: Story) -> None:
    """Allowed, and what comes back is masked."""
    seen = story.parts.notes.seen.requests
    story.client = await story.open.enter_async_context(connect(story.layout.url, story.alice_token))
    shown = story.shown = text_of(await story.client.call_tool("read_secret", {"name": "billing"}))
    story.tell(f"read_secret billing -> {shown}")
    secrets = (SECRET_NOTE["password"], SECRET_NOTE["aws_access_key_id"], "ghp_0123456789abcdefghijklmnopqrstuvwxyz")
    story.check(not any(s in shown for s in secrets), "a secret came back")
    story.check(json.loads(shown)["service"] == "billing", "the rest of the answer did not come back")
    story.secrets += [*secrets, DEMO_TOKEN]
    credentials = {str(dict(r["headers"])["authorization"]) for r in seen}  # type: ignore[call-overload]
    story.check(credentials == {f"Bearer {DEMO_TOKEN}"}, "the notes server saw another credential than the gateway's")
    story.tell(f"the notes server saw {len(seen)} requests, each with the gateway's own credential, not Alice's")


async def by_proxy(story: Story) -> None:
    """The other road: HTTPS_PROXY, with TLS on both sides."""
    story.agent_token = await asyncio.to_thread(agent_token, story.layout, story.layout.tls_url)
    story.secrets.append(story.agent_token)
    road = {"HTTPS_PROXY": story.layout.proxy, "SSL_CERT_FILE": str(story.layout.gateway_ca)}
    command = ["-m", "tests.demo.call", "--url", story.layout.tls_url, "read_secret", "name=payments"]
    story.tell(" ".join(f"{k}={_short(story, v)}" for k, v in road.items()) + f" python {' '.join(command)}")
    done = await asyncio.to_thread(_unchanged_client, command, {**road, "HOLDPOINT_TOKEN": story.agent_token})
    story.check(done.returncode == 0, f"the client ended with {done.returncode}: {done.stdout}{done.stderr}")
    shown = done.stdout.strip()
    story.tell(f"agent-7, {done.stderr.strip()}: {shown}")
    story.check(json.loads(shown)["service"] == "payments" and SECRET_NOTE["password"] not in shown, "not masked")
    seen = story.parts.notes_tls.seen
    story.check(seen.calls == ["read_secret payments"], f"the TLS server saw {seen.calls}")
    credentials = {str(dict(r["headers"])["authorization"]) for r in seen.requests}  # type: ignore[call-overload]
    story.check(credentials == {f"Bearer {DEMO_TOKEN}"}, "the TLS server saw another credential than the gateway's")
    story.tell("client to gateway: TLS by the authority in var/ca; gateway to server: TLS verified by `ca_file`")
    other = {**road, "SSL_CERT_FILE": str(story.layout.folder / "notes-ca.pem")}
    untrusting = await asyncio.to_thread(_unchanged_client, command, {**other, "HOLDPOINT_TOKEN": story.agent_token})
    story.check(
        untrusting.returncode != 0 and "CERTIFICATE_VERIFY_FAILED" in untrusting.stdout + untrusting.stderr,
        f"a client that does not trust the gateway's authority got on: {untrusting.stdout}",
    )
    story.tell(
        "a client that trusts only the server's own authority: CERTIFICATE_VERIFY_FAILED, the gateway is between"
    )


def _unchanged_client(arguments: list[str], more: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the SDK in a process of its own, which knows the gateway by its environment alone."""
    env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()} | more
    return subprocess.run(  # our own program, our own arguments
        [sys.executable, *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def _short(story: Story, value: str) -> str:
    return value.replace(f"{story.layout.folder}/", "")
