"""Everything a test needs around a gateway, real and on loopback: an issuer, an MCP server, settings, the gateway."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from tests.fakes.issuer import FakeIssuer
from tests.fakes.notes_server import NotesServer
from tests.fakes.processes import GATEWAY, MITMDUMP, NO_AUTHORITIES, ROOT, Program, free_port

from holdpoint.admin.client import AdminClient

UPSTREAM_TOKEN = "upstream-token-of-the-notes-server"

SETTINGS = """\
apiVersion: holdpoint/v1
kind: Gateway
listeners:
  - {{name: routes, mode: reverse, listen: "127.0.0.1:{reverse}"}}
  - {{name: proxy, mode: forward, listen: "127.0.0.1:{forward}"}}
keys:
  ca: {{folder: var/ca}}
  audit: {{active: audit-1, ring: [{{id: audit-1, file: var/keys/audit-1.pem, create: true}}]}}
  digest: {{file: var/keys/digest.key}}
issuers:
  - name: test
    url: {issuer}
    algorithms: [RS256, ES256]
    audiences: ["{audience}"]
    claims: {{person: email, groups: groups}}
    workloads: {{subjects: ["agent-*"], owners: {{"agent-*": ["alice@corp.example"]}}}}
    login: {{client_id: holdpoint-cli}}
targets:
  - name: demo
    protocol: mcp
    url: {notes}
    routes: [/mcp/demo]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    hold: {{wait: {hold_wait}}}
    masks: [credentials]
{target_lines}
{more_targets}
policies: [demo.yaml, masks/credentials.yaml, masks/personal-data.yaml]
store: {{path: var/holdpoint.sqlite}}
recordings: {{folder: var/recordings}}
admin: {{socket: var/run/admin.sock}}
reviewers: {{issuers: [test], max_age: 12h}}
console: {{listen: "127.0.0.1:{console}", issuer: test, client_id: holdpoint-console}}
"""


@dataclass
class World:
    """A folder of settings with real servers around it. A context manager; the gateway is started by `start`."""

    folder: Path
    hold_wait: str = "50s"
    target_lines: str = ""
    """More keys of the demo target, indented by four."""
    more_targets: str = ""
    """More targets, indented by two."""
    json_response: bool = False
    stateless: bool = False
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reverse, self.forward, self.console = free_port(), free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.reverse}"
        self.url = f"{self.base}/mcp/demo"
        self.issuer = FakeIssuer(audience=self.url)
        self.notes = NotesServer(token=UPSTREAM_TOKEN, json_response=self.json_response, stateless=self.stateless)
        self.gateway: Program | None = None
        self.policies = self.folder / "policies"
        shutil.copytree(ROOT / "policies", self.policies)
        self.settings_file = self.policies / "gateway.yaml"
        self.write_settings()

    @property
    def var(self) -> Path:
        """Folder of the gateway's state."""
        return self.policies / "var"

    def write_settings(self, **changes: str) -> None:
        """Write gateway.yaml; `changes` replace text in it, key by value."""
        text = SETTINGS.format(
            reverse=self.reverse,
            forward=self.forward,
            console=self.console,
            issuer=self.issuer.url,
            audience=self.url,
            notes=self.notes.url,
            hold_wait=self.hold_wait,
            target_lines=self.target_lines,
            more_targets=self.more_targets,
        )
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        self.settings_file.write_text(text)

    def __enter__(self) -> "World":
        self.issuer.start()
        self.notes.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.gateway is not None:
                self.gateway.stop()
                if kind is not None:
                    print(self.gateway.output)
        finally:
            self.notes.__exit__(None, None, None)
            self.issuer.stop()

    def launch(self, *more: str, script: Path = GATEWAY) -> Program:
        """Start mitmdump and return at once, whether or not it will come up."""
        command = [str(MITMDUMP), "-s", str(script), "--set", f"holdpoint_config={self.settings_file}", *more]
        self.gateway = Program(command, env={"NOTES_TOKEN": UPSTREAM_TOKEN, "HOME": str(self.folder), **self.env})
        return self.gateway

    def start(self, *more: str, script: Path = GATEWAY) -> Program:
        """Start mitmdump and wait until it serves."""
        gateway = self.launch(*more, script=script)
        gateway.wait_for("holdpoint: serving")
        return gateway

    # Who calls

    def token(self, sub: str = "u-alice", **claims: Any) -> str:
        """An access token of the test issuer for the demo target."""
        return self.issuer.mint({"sub": sub, **claims})

    def id_token(self, person: str = "rita@corp.example", *groups: str) -> str:
        """An ID token of a reviewer, as the console would hold it."""
        return self.issuer.mint_id_token(
            {"sub": f"u-{person.split('@', maxsplit=1)[0]}", "email": person, "groups": list(groups or ("reviewers",))}
        )

    def headers(self, token: str | None = None, **more: str) -> dict[str, str]:
        """Headers of a plain MCP request of 2025-11-25."""
        return {
            "authorization": f"Bearer {token or self.token()}",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            "mcp-protocol-version": "2025-11-25",
            **more,
        }

    def client(self, **more: Any) -> httpx.Client:
        """A plain HTTP client that trusts no environment."""
        return httpx.Client(**{"trust_env": False, "timeout": 30, "verify": NO_AUTHORITIES, **more})

    def admin(self) -> AdminClient:
        """A client of the gateway's admin socket."""
        return AdminClient(self.var / "run" / "admin.sock")


def call(tool: str, arguments: dict[str, Any] | None = None, *, request_id: int | str = 1) -> dict[str, Any]:
    """A tools/call message."""
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments or {}},
    }


def environment() -> dict[str, str]:
    """The environment without proxies."""
    return {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
