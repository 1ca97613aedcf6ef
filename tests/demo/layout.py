"""Where the demo keeps its files and listens, and the settings that say so: `policies/gateway.yaml`, moved."""

import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = ".holdpoint-demo"
DEMO_TOKEN = "demo-notes-server-credential"
"""What the notes servers let in. Invented, and only good on loopback while the demo runs."""

TLS_TARGET = """\
  - name: notes-tls # the same kind of server behind TLS with an authority of its own: for the forward listener
    protocol: mcp
    url: {url}
    ca_file: ../notes-ca.pem
    audiences: ["{url}"]
    credential: {{kind: static, from: {{env: HOLDPOINT_DEMO_TOKEN}}}}
    masks: [credentials]

# The bundle"""


class DemoError(Exception):
    """The demo cannot start. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on loopback. The defaults are those of `policies/gateway.yaml`."""

    reverse: int = 8180
    forward: int = 8181
    console: int = 8182
    issuer: int = 8190
    notes: int = 8192
    notes_tls: int = 8193

    @classmethod
    def from_base(cls, base: int) -> "Ports":
        """Move all of them: what is 8180 by default becomes `base`."""
        return cls(base, base + 1, base + 2, base + 10, base + 12, base + 13)

    def named(self) -> dict[str, int]:
        """Return each port by what listens there."""
        return {
            "gateway, routes": self.reverse,
            "gateway, forward proxy": self.forward,
            "console": self.console,
            "identity provider": self.issuer,
            "notes server": self.notes,
            "notes server with TLS": self.notes_tls,
        }

    def check(self) -> None:
        """Raise DemoError where one of them is taken."""
        taken = [f"{port} ({name})" for name, port in self.named().items() if not _is_free(port)]
        if taken:
            raise DemoError(
                f"taken on 127.0.0.1: {', '.join(taken)}; stop what listens there, or move the demo: --ports 18180"
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


@dataclass(frozen=True, slots=True)
class Layout:
    """The demo's folder: a copy of the policies, and everything that comes to be."""

    folder: Path
    ports: Ports
    keep: bool = False
    """Start from what is there: settings and policies that somebody changed."""

    @property
    def settings(self) -> Path:
        return self.folder / "policies" / "gateway.yaml"

    @property
    def state(self) -> Path:
        """What the gateway writes."""
        return self.folder / "var"

    @property
    def recordings(self) -> Path:
        return self.state / "recordings"

    @property
    def gateway_ca(self) -> Path:
        """What a client of the forward listener trusts."""
        return self.state / "ca" / "mitmproxy-ca-cert.pem"

    @property
    def url(self) -> str:
        """The MCP endpoint that clients use."""
        return f"http://127.0.0.1:{self.ports.reverse}/mcp/demo"

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.ports.forward}"

    @property
    def tls_url(self) -> str:
        """The notes server with TLS, as a client of the forward listener names it."""
        return f"https://127.0.0.1:{self.ports.notes_tls}/mcp"

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.ports.console}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.ports.issuer}"

    def tokens(self, person: str) -> Path:
        """Return where a person's logins lie."""
        return self.folder / "people" / person

    def make(self) -> None:
        """Make the folder anew. Raises DemoError where something else lies there."""
        if self.folder.exists() and any(self.folder.iterdir()):
            if not (self.folder / MARK).is_file():
                raise DemoError(
                    f"`{self.folder}` is not empty and was not made by the demo: name another with --folder"
                )
            if self.keep:
                return
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MARK).touch()
        shutil.copytree(ROOT / "policies", self.folder / "policies")
        self.settings.write_text(self._settings_text(), "utf-8")
        policy = self.folder / "policies" / "demo.yaml"
        policy.write_text(
            _replaced(policy.read_text("utf-8"), "targets: [demo]", "targets: [demo, notes-tls]"), "utf-8"
        )

    def _settings_text(self) -> str:
        text = (ROOT / "policies" / "gateway.yaml").read_text("utf-8")
        text = _replaced(text, "# The bundle", TLS_TARGET.format(url=self.tls_url))
        # Heads are signed often, so that nobody has to wait to see a rewritten log found.
        text = _replaced(text, "folder: ../var/recordings}", "folder: ../var/recordings, checkpoint: 2s}")
        defaults, ours = Ports().named(), self.ports.named()
        moved = {str(port): str(ours[name]) for name, port in defaults.items()}
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda m: moved.get(m[0], m[0]), text)

    def environment(self, person: str = "") -> dict[str, str]:
        """Return the environment of a program of the demo, for a person at a terminal or for nobody."""
        env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        env |= {
            "HOLDPOINT_CONFIG": str(self.settings),
            "HOLDPOINT_DEMO_TOKEN": DEMO_TOKEN,
            "PYTHONPATH": f"{ROOT / 'addons'}{os.pathsep}{ROOT}",
            "PYTHONUNBUFFERED": "1",
        }
        return env | ({"HOLDPOINT_TOKENS": str(self.tokens(person))} if person else {})


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise DemoError(f"the policies of this checkout have no `{old}`: the demo cannot use them")
    return text.replace(old, new, 1)


HOLDPOINT = (sys.executable, "-m", "holdpoint.cli")
"""The command line, by module: it needs no installed script."""
