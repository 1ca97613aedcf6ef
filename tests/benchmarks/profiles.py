"""What is sent and answered in a measurement: two kinds of requests, each with an answer of about 2 KB."""

from dataclasses import dataclass

import msgspec

SECRET = "correct-horse-battery-staple"
"""Stands in every answer of the upstream. Through the pipeline it must never arrive."""
HTTP_PATH = "/web/deployments?limit=12"
MCP_PATH = "/mcp/benchmark"
_TOOL = "scale_deployment"
_VERSION = "2026-07-28"


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of request."""

    name: str
    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def request(self, port: int, token: str = "") -> bytes:
        """Return the request as it goes on the wire."""
        fields = [("Host", f"127.0.0.1:{port}"), ("User-Agent", "bench/1"), *self.headers]
        if token:
            fields.append(("Authorization", f"Bearer {token}"))
        if self.body:
            fields.append(("Content-Length", str(len(self.body))))
        head = f"{self.method} {self.path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
        return head.encode() + b"\r\n" + self.body


def _deployments(count: int) -> dict[str, object]:
    items = [
        {
            "name": f"web-{i}",
            "namespace": "shop",
            "labels": {"app.example.com/name": f"web-{i}", "app.example.com/part-of": "shop"},
            "replicas": i,
            "image": f"registry.example.com/shop/web:1.{i}.0",
        }
        for i in range(count)
    ]
    return {"items": items, "database": {"user": "shop", "password": SECRET}}


HTTP_ANSWER = msgspec.json.encode(_deployments(12))
MCP_RESULT: dict[str, object] = {
    "content": [{"type": "text", "text": "scaled web to 5"}],
    "structuredContent": _deployments(11),
    "isError": False,
    "resultType": "complete",
}
MCP_ANSWER = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "result": MCP_RESULT})


def _call(tool: str, arguments: dict[str, object], **meta: str) -> bytes:
    about: dict[str, object] = {
        "io.modelcontextprotocol/protocolVersion": _VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    params = {"name": tool, "arguments": arguments, "_meta": about | meta}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})


HTTP_GET = Profile("http-get", HTTP_PATH, "GET", (("Accept", "application/json"),))


def _tool_call(name: str, path: str, tool: str, body: bytes) -> Profile:
    headers = (
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", _VERSION),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    )
    return Profile(name, path, "POST", headers, body)


MCP_CALL = _tool_call(
    "mcp-call", MCP_PATH, _TOOL, _call(_TOOL, {"replicas": 5, "deployment": "web", "namespace": "shop"})
)
PROFILES = (HTTP_GET, MCP_CALL)

PROGRESS_TOKEN = "progress-of-the-benchmark"
"""MCP's name for what tells notifications apart."""
EVENT_SIZES = {"scale_300b": 300, "scale_64kb": 64_000}
"""The tools that answer with events, and how large each event is. Bytes."""


def stream_call(path: str, tool: str, events: int, pause: float) -> Profile:
    """Return the request for a stream of so many events, `pause` seconds apart."""
    body = _call(tool, {"replicas": 5, "events": events, "pause": pause}, progressToken=PROGRESS_TOKEN)
    return _tool_call("mcp-stream", path, tool, body)
