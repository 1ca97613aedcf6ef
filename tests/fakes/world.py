"""Everything a test needs around a gateway, real and on loopback: an issuer, an MCP server, settings, the gateway."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import httpx
from tests.fakes.gateway_folder import GatewayFolder
from tests.fakes.notes_server import NotesServer
from tests.fakes.processes import NO_AUTHORITIES

UPSTREAM_TOKEN = "upstream-token-of-the-notes-server"


@dataclass
class World(GatewayFolder):
    """A folder of settings with an issuer and an MCP server around it. A context manager."""

    json_response: bool = False
    stateless: bool = False

    ROUTE = "/mcp/demo"
    TARGET = """\
  - name: demo
    protocol: mcp
    url: {notes}
    routes: [/mcp/demo]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    hold: {{wait: {hold_wait}}}
    masks: [credentials]
"""
    SECRETS: ClassVar[dict[str, str]] = {"NOTES_TOKEN": UPSTREAM_TOKEN}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.notes = NotesServer(token=UPSTREAM_TOKEN, json_response=self.json_response, stateless=self.stateless)
        self.write_settings()

    def values(self) -> dict[str, object]:
        return {"notes": self.notes.url, "policy": "demo"}

    def __enter__(self) -> Self:
        super().__enter__()
        self.notes.__enter__()
        return self

    def close(self) -> None:
        self.notes.end()
        self.issuer.stop()
        self.notes.__exit__(None, None, None)

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
