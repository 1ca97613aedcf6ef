"""A gateway with every kind of road: plain and TLS listeners, reverse and forward, to upstreams that say anything."""

import json
from pathlib import Path
from typing import Any

from tests.fakes.byte_upstream import H2Upstream, RawUpstream
from tests.fakes.wire import Answer, Wire, certificate, request
from tests.fakes.world import World, call

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: wire-http}
targets: [raw, secure, h2up]
rules:
  - name: all
    effect: allow
    match: {verbs: [get, head, options, post], paths: ["/*"]}
  - name: admin
    effect: deny
    match: {verbs: [get], paths: ["/admin"]}
---
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: wire-mcp}
targets: [rawmcp]
rules:
  - name: talk
    effect: allow
    match: {verbs: [initialize, "notifications/*", ping, tools/list, session/listen, subscriptions/listen]}
  - name: held
    effect: hold
    match: {verbs: [tools/call], tools: ["held*"]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}
  - name: tools
    effect: allow
    match: {verbs: [tools/call], tools: ["*"]}
"""

TARGETS = """\
  - name: raw
    protocol: http
    url: http://127.0.0.1:{raw}
    routes: [/raw]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}, header: X-Api-Key}}
    limits: {{request: 64KiB, response: 1MiB}}
    masks: [credentials]
  - name: secure
    protocol: http
    url: https://127.0.0.1:{secure}
    routes: [/secure]
    ca_file: {ca}
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    masks: [credentials]
  - name: h2up
    protocol: http
    url: https://127.0.0.1:{h2up}
    routes: [/h2up]
    ca_file: {ca}
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    limits: {{request: 64KiB, response: 1MiB}}
    masks: [credentials]
  - name: rawmcp
    protocol: mcp
    url: http://127.0.0.1:{rawmcp}/mcp
    routes: [/rawmcp]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    limits: {{request: 64KiB, response: 1MiB, answer: 2s}}
    hold: {{wait: 40s}}
    masks: [credentials]
"""


class WireWorld(World):
    """A World with raw upstreams and two more listeners that speak TLS."""

    def __init__(self, folder: Path) -> None:
        self.tls_files = certificate(folder / "tls")
        self.raw, self.rawmcp, self.secure = RawUpstream(), RawUpstream(), RawUpstream(self.tls_files)
        self.h2up = H2Upstream(self.tls_files)
        more = TARGETS.format(
            raw=self.raw.port,
            secure=self.secure.port,
            h2up=self.h2up.port,
            rawmcp=self.rawmcp.port,
            ca=self.tls_files[0],
        )
        super().__init__(folder, more_targets=more, json_response=True, stateless=True)
        (self.policies / "wire.yaml").write_text(POLICY)
        self.add_tls_listeners(*self.tls_files, {"policies: [demo.yaml,": "policies: [demo.yaml, wire.yaml,"})

    def __enter__(self) -> "WireWorld":
        super().__enter__()
        for upstream in (self.raw, self.rawmcp, self.secure, self.h2up):
            upstream.__enter__()
        return self

    def close(self) -> None:
        super().close()
        for upstream in (self.raw, self.rawmcp, self.secure, self.h2up):
            upstream.__exit__(None, None, None)

    def add_settings(self, line: str, more: str) -> None:
        """Put more lines of settings after one that is there."""
        text = self.settings_file.read_text()
        assert text.count(line) == 1, line
        self.settings_file.write_text(text.replace(line, line + more))

    # What clients say

    def plain(self, *more: tuple[str, str]) -> list[tuple[str, str]]:
        """Headers of a plain request with a good token, for the reverse listener."""
        return [("Host", f"127.0.0.1:{self.reverse}"), ("Authorization", f"Bearer {self.token()}"), *more]

    def mcp(self, *more: tuple[str, str]) -> list[tuple[str, str]]:
        """Headers of an MCP request with a good token."""
        return self.plain(
            ("Accept", "application/json, text/event-stream"),
            ("Content-Type", "application/json"),
            ("MCP-Protocol-Version", "2025-11-25"),
            *more,
        )

    def over_h2(self, path: str, headers: list[tuple[str, str]], method: str = "POST") -> list[tuple[str, str]]:
        """The same headers for HTTP/2."""
        pseudo = [
            (":method", method),
            (":scheme", "https"),
            (":authority", f"127.0.0.1:{self.reverse_tls}"),
            (":path", path),
        ]
        return pseudo + [(n.lower(), v) for n, v in headers if n.lower() not in ("host", "connection")]

    def get(self, path: str, *more: tuple[str, str], method: str = "GET") -> Answer:
        """Ask the plain reverse listener, on a connection of its own."""
        with Wire(self.reverse) as wire:
            return wire.ask(request(method, path, self.plain(*more)), method)

    def tool(self, name: str, arguments: dict[str, Any] | None = None, *more: tuple[str, str]) -> Answer:
        """Call a tool of the raw MCP upstream, on a connection of its own."""
        with Wire(self.reverse, timeout=20) as wire:
            return wire.ask(self.tool_call(name, arguments, *more))

    def tool_call(self, name: str, arguments: dict[str, Any] | None = None, *more: tuple[str, str]) -> bytes:
        """The bytes of a tools/call."""
        return request("POST", "/rawmcp", self.mcp(*more), json.dumps(call(name, arguments)).encode())

    def listening(self) -> bytes:
        """The bytes of a subscriptions/listen (2026-07-28)."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {"_meta": meta, "notifications": {"toolsListChanged": True}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params})
        modern = [(n, "2026-07-28" if n == "MCP-Protocol-Version" else v) for n, v in self.mcp()]
        return request("POST", "/rawmcp", [*modern, ("Mcp-Method", "subscriptions/listen")], body.encode())

    # What was seen

    def reached(self) -> int:
        """How many requests reached an upstream, whichever."""
        return sum(len(u.requests) for u in (self.raw, self.rawmcp, self.secure, self.h2up))
