"""A small real MCP server, made with the MCP SDK: notes that can be read, written and dropped, and a secret.

It takes one static bearer token and keeps a log of what reached it, so that a test can show what did not. For tests and
the demo: loopback only.
"""

import argparse
import hmac
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.fakes.serving import Asgi

SECRET_NOTE = {
    "service": "billing",
    "user": "billing-app",
    "password": "correct-horse-battery-staple",
    "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "note": "rotate with token ghp_0123456789abcdefghijklmnopqrstuvwxyz",
}
"""Invented, every word of it."""


@dataclass
class Seen:
    """What reached the server."""

    requests: list[dict[str, object]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


def make_server(seen: Seen) -> MCPServer:
    """Make the server with its six tools."""
    notes = {"welcome": "agents may read this", "runbook": "page the on-call before you drop anything"}
    server = MCPServer("notes", version="1.0.0", log_level="ERROR")

    @server.tool()
    def list_notes() -> list[str]:
        """List the names of all notes."""
        seen.calls.append("list_notes")
        return sorted(notes)

    @server.tool()
    def read_note(name: str) -> str:
        """Read one note."""
        seen.calls.append(f"read_note {name}")
        return notes.get(name, "no such note")

    @server.tool()
    def read_secret(name: str) -> str:
        """Read the credentials of a service, as JSON text."""
        seen.calls.append(f"read_secret {name}")
        return json.dumps({**SECRET_NOTE, "service": name})

    @server.tool()
    def write_note(name: str, text: str) -> str:
        """Write one note."""
        seen.calls.append(f"write_note {name}")
        notes[name] = text
        return f"wrote {name}"

    @server.tool()
    def delete_note(name: str) -> str:
        """Delete one note."""
        seen.calls.append(f"delete_note {name}")
        return "deleted" if notes.pop(name, None) is not None else "no such note"

    @server.tool()
    def drop_everything() -> str:
        """Delete all notes."""
        seen.calls.append("drop_everything")
        notes.clear()
        return "gone"

    return server


class Door:
    """Lets in one bearer token, and writes down every request with its headers."""

    def __init__(self, app: ASGIApp, token: str, seen: Seen) -> None:
        self._app = app
        self._token = token
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        self._seen.requests.append({"method": scope["method"], "path": scope["path"], "headers": headers})
        if not hmac.compare_digest(headers.get("authorization", ""), f"Bearer {self._token}"):
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)


class NotesServer(Asgi):
    """The server on a port of its own, in a thread. A context manager."""

    def __init__(
        self,
        *,
        token: str,
        port: int = 0,
        json_response: bool = False,
        stateless: bool = False,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.seen = Seen()
        app = make_server(self.seen).streamable_http_app(json_response=json_response, stateless_http=stateless)
        super().__init__(Door(app, token, self.seen), port=port, tls=tls)


def main() -> None:
    """Serve until interrupted: `python -m tests.fakes.notes_server --port 8192`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8192)
    parser.add_argument(
        "--seen", type=Path, help="write what reached the server here, as JSON lines, at the end of each request"
    )
    args = parser.parse_args()
    with NotesServer(token=os.environ["HOLDPOINT_DEMO_TOKEN"], port=args.port) as server:
        print(f"notes server at {server.url}", flush=True)
        server.join()


if __name__ == "__main__":
    main()
