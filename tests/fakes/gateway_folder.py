"""What every world has: a folder of settings, an issuer, and the gateway that is started on it."""

import json
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.fakes.issuer import FakeIssuer
from tests.fakes.processes import GATEWAY, MITMDUMP, ROOT, Program, free_port

from holdpoint.admin.client import AdminClient

HEAD = """\
apiVersion: holdpoint/v1
kind: Gateway
listeners:
  - {{name: routes, mode: reverse, listen: "127.0.0.1:{reverse}"{listener}}}
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
"""
TAIL = """\
{target_lines}
{more_targets}
policies: [{policy}.yaml, masks/credentials.yaml, masks/personal-data.yaml]
store: {{path: var/holdpoint.sqlite}}
recordings: {{folder: var/recordings}}
admin: {{socket: var/run/admin.sock}}
reviewers: {{issuers: [test], max_age: 12h}}
console: {{listen: "127.0.0.1:{console}", issuer: test, client_id: holdpoint-console}}
"""


@dataclass
class GatewayFolder(ABC):
    """A folder of settings and an issuer. A context manager; the gateway is started by `start`."""

    folder: Path
    hold_wait: str = "50s"
    target_lines: str = ""
    """More keys of the one target, indented by four."""
    more_targets: str = ""
    """More targets, indented by two."""
    env: dict[str, str] = field(default_factory=dict)

    SCHEME: ClassVar[str] = "http"
    ROUTE: ClassVar[str]
    """Of the one target."""
    TARGET: ClassVar[str]
    """The one target, a template."""
    MORE: ClassVar[str] = ""
    """More settings at the end, a template."""
    SECRETS: ClassVar[dict[str, str]]
    """The gateway's credentials, by environment variable."""

    def __post_init__(self) -> None:
        self.reverse, self.forward, self.console = free_port(), free_port(), free_port()
        self.base = f"{self.SCHEME}://127.0.0.1:{self.reverse}"
        self.url = self.base + self.ROUTE
        self.issuer = FakeIssuer(audience=self.url)
        self.gateway: Program | None = None
        self.policies = self.folder / "policies"
        shutil.copytree(ROOT / "policies", self.policies)
        self.settings_file = self.policies / "gateway.yaml"

    @property
    def var(self) -> Path:
        """Folder of the gateway's state."""
        return self.policies / "var"

    @abstractmethod
    def values(self) -> dict[str, object]:
        """What this kind of world puts into the settings."""

    @abstractmethod
    def close(self) -> None:
        """End what stands behind the gateway."""

    def write_settings(self, **changes: str) -> None:
        """Write gateway.yaml; `changes` replace text in it, key by value."""
        values: dict[str, object] = {
            "reverse": self.reverse,
            "forward": self.forward,
            "console": self.console,
            "listener": "",
            "issuer": self.issuer.url,
            "audience": self.url,
            "hold_wait": self.hold_wait,
            "target_lines": self.target_lines,
            "more_targets": self.more_targets,
        }
        text = (HEAD + self.TARGET + TAIL + self.MORE).format(**values | self.values())
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        self.settings_file.write_text(text)

    def add_tls_listeners(self, certificate: Path, key: Path, changes: dict[str, str]) -> None:
        """Write the settings with a reverse and a forward listener that speak TLS, too; `changes` as there."""
        self.reverse_tls, self.forward_tls = free_port(), free_port()
        files = f"{{certificate: {certificate}, key: {key}}}"
        listeners = "".join(
            f'  - {{name: {name}, mode: {mode}, listen: "127.0.0.1:{port}", tls: {files}}}\n'
            for name, mode, port in (("safe", "reverse", self.reverse_tls), ("safe-proxy", "forward", self.forward_tls))
        )
        self.write_settings(**{"keys:\n  ca:": listeners + "keys:\n  ca:", **changes})

    def __enter__(self) -> Self:
        self.issuer.start()
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
            try:
                self.close()
            finally:
                self.issuer.stop()

    def launch(self, *more: str, script: Path = GATEWAY) -> Program:
        """Start mitmdump and return at once, whether or not it will come up."""
        command = [str(MITMDUMP), "-s", str(script), "--set", f"holdpoint_config={self.settings_file}", *more]
        self.gateway = Program(command, env={**self.SECRETS, "HOME": str(self.folder), **self.env})
        return self.gateway

    def start(self, *more: str, script: Path = GATEWAY) -> Program:
        """Start mitmdump and wait until it serves."""
        gateway = self.launch(*more, script=script)
        gateway.wait_for("holdpoint: serving")
        return gateway

    # What was written down

    def audited(self) -> list[dict[str, Any]]:
        """Every event of the audit log."""
        events: list[dict[str, Any]] = []
        for file in sorted((self.var / "recordings" / "audit").glob("*.jsonl")):
            for line in file.read_bytes().splitlines():
                if (event := json.loads(line).get("event")) is not None:
                    events.append(event)
        return events

    # Who calls

    def token(self, sub: str = "u-alice", **claims: Any) -> str:
        """An access token of the test issuer for the one target."""
        return self.issuer.mint({"sub": sub, **claims})

    def id_token(self, person: str = "rita@corp.example", *groups: str) -> str:
        """An ID token of a reviewer, as the console would hold it."""
        return self.issuer.mint_id_token(
            {"sub": f"u-{person.split('@', maxsplit=1)[0]}", "email": person, "groups": list(groups or ("reviewers",))}
        )

    def admin(self) -> AdminClient:
        """A client of the gateway's admin socket."""
        return AdminClient(self.var / "run" / "admin.sock")
