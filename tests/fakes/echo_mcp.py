"""An MCP upstream that says yes to everything and remembers what it was asked, byte by byte."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.fakes.serving import Handler, Threaded
from tests.fakes.world import World

SESSION = "session-of-the-echo"


class EchoMcp(Threaded):
    """A context manager."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        """HTTP method and body of every request, in order."""
        outer = self

        class Echo(Handler, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.heard()
                outer.seen.append(("POST", body))
                message = json.loads(body)
                if isinstance(message, list):
                    answers = [_answer(m) for m in message if "method" in m and "id" in m]
                    self._say(json.dumps(answers).encode() if answers else b"")
                elif "id" in message and "method" in message:
                    self._say(json.dumps(_answer(message)).encode(), is_first=message["method"] == "initialize")
                else:
                    self._say(b"")

            def do_GET(self) -> None:
                outer.seen.append(("GET", b""))
                self._say(b": nothing new\n\n", "text/event-stream")

            def do_DELETE(self) -> None:
                outer.seen.append(("DELETE", b""))
                self._say(b"")

            def _say(self, body: bytes, kind: str = "application/json", *, is_first: bool = False) -> None:
                self.say(200 if body else 202, body, kind, **({"mcp_session_id": SESSION} if is_first else {}))

        super().__init__(Echo)

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"{super().url}/mcp"


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": {"resultType": "complete", "said": "yes"}}


@contextmanager
def gateway_of(folder: Path, name: str, *, policy: str, target: str) -> Iterator[World]:
    """A World that serves, with one more target and one more policy, both of that name."""
    with World(folder, more_targets=target) as world:
        (world.policies / f"{name}.yaml").write_text(policy)
        world.write_settings(**{"policies: [": f"policies: [{name}.yaml, "})
        world.start()
        yield world
