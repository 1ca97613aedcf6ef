"""A `gateway.yaml` that is right, for tests that break it in one place."""

from pathlib import Path

MARK = "«"
"""Stands in a replacement where the error must point to, and is taken out before the file is written."""

BASE = """\
apiVersion: holdpoint/v1
kind: Gateway
listeners:
  - name: routes
    mode: reverse
    listen: "127.0.0.1:8080"
  - name: proxy
    mode: forward
    listen: "127.0.0.1:8081"
keys:
  ca: {folder: var/ca}
  audit:
    active: audit-2
    ring:
      - {id: audit-1, file: var/keys/audit-1.pub}
      - {id: audit-2, file: var/keys/audit-2.pem, create: true}
  digest: {file: var/keys/digest.key}
issuers:
  - name: corp
    url: https://idp.example.com/
    algorithms: [RS256]
    audiences: ["https://gateway.example.com"]
    login: {client_id: holdpoint-cli}
  - name: machines
    url: https://machines.example.com
    algorithms: [ES256, EdDSA]
    audiences: ["https://gateway.example.com"]
targets:
  - name: files
    protocol: mcp
    url: https://files.example.com/mcp/
    credential: {kind: static, from: {env: FILES_TOKEN}}
  - name: web
    protocol: http
    url: https://web.example.com:8443
    routes: [/web]
    credential: {kind: none}
policies: [base.yaml]
store: {path: var/holdpoint.sqlite}
recordings: {folder: var/recordings}
admin: {socket: var/run/admin.sock}
reviewers: {issuers: [corp]}
console:
  listen: "127.0.0.1:8082"
  issuer: corp
  client_id: holdpoint-console
"""

ENVIRON = {"FILES_TOKEN": "upstream-token"}


def write_gateway(folder: Path, *changes: tuple[str, str], base: str = BASE) -> Path:
    """Write the file with each `(old, new)` replaced once, and the policy file it names; return it."""
    text = base
    for old, new in changes:
        if text.count(old) != 1:
            raise AssertionError(f"{old!r} stands {text.count(old)} times in the base")
        text = text.replace(old, new.replace(MARK, ""))
    (folder / "base.yaml").touch()
    file = folder / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def marked_place(file: Path, change: tuple[str, str], *, base: str = BASE) -> str:
    """Return the `file:line:column` where the mark stands."""
    old, new = change
    before = base[: base.index(old)] + new[: new.index(MARK)]
    return f"{file}:{before.count('\n') + 1}:{len(before) - (before.rfind('\n') + 1) + 1}"
