"""A gateway with short holds in front of two upstreams that remember what reached them, and callers of each era."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx
from tests.fakes.processes import NO_AUTHORITIES
from tests.fakes.raw_upstream import RawUpstream
from tests.fakes.world import World, call

NEW = "2026-07-28"
URL = {"elicitation": {"url": {}}}

OTHER = """\
  - name: other
    protocol: mcp
    url: {url}
    routes: [/mcp/other]
    audiences: ["{audience}"]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    hold: {{{hold}}}
    masks: [credentials]
"""
POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: demo}
targets: [demo, other]
rules:
  - name: talk
    effect: allow
    match: {verbs: [initialize, "notifications/*", ping, tools/list, server/discover, session/listen, session/delete]}

  - name: read
    effect: allow
    match: {verbs: [tools/call], tools: [read_note]}

  - name: write
    effect: hold
    match: {verbs: [tools/call], tools: [write_note, delete_note]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}
    mask: [credentials, personal-data]

  - name: prompts
    effect: hold
    match: {verbs: [prompts/get], prompts: ["*"]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}

  - name: resources
    effect: hold
    match: {verbs: [resources/read], uris: ["*"]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}

  - name: lists
    effect: hold
    match: {verbs: [resources/list]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}

  - name: questions
    effect: allow
    match: {server_requests: [elicitation/create]}

  - name: silence
    effect: hold
    match: {verbs: [tools/call], tools: [hasty]}
    approval: {reviewers: ["group:reviewers"], timeout: 2s}
"""


@dataclass
class LadderWorld(World):
    """Two MCP targets, `demo` and `other`, under the demo's policy. A context manager; start it yourself."""

    hold: str = "wait: 3s, leg: 1s, grace: 0s, keepalive: 1s"

    def __post_init__(self) -> None:
        self.upstream, self.second = RawUpstream(), RawUpstream()
        self._sessions = 0
        super().__post_init__()
        self.more_targets = OTHER.format(url=self.second.url, audience=self.url, hold=self.hold)
        (self.policies / "demo.yaml").write_text(POLICY)
        self.write_settings(**{self.notes.url: self.upstream.url, "hold: {wait: 50s}": f"hold: {{{self.hold}}}"})

    def __enter__(self) -> "LadderWorld":
        self.upstream.__enter__()
        self.second.__enter__()
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.second.__exit__(kind, error, trace)
        self.upstream.__exit__(kind, error, trace)

    def next_session(self) -> str:
        """An id that no session had."""
        self._sessions += 1
        return f"session-{self._sessions}"

    def post(
        self, message: Any, headers: dict[str, str], target: str = "demo", *, patience: float = 30
    ) -> httpx.Response:
        """Post a message to a target; `patience` is in seconds."""
        with httpx.Client(verify=NO_AUTHORITIES, trust_env=False, timeout=patience) as http:
            return http.post(f"{self.base}/mcp/{target}", headers=headers, content=json.dumps(message))

    def ask(
        self,
        tool: str = "write_note",
        arguments: dict[str, Any] | None = None,
        *,
        capabilities: dict[str, Any] | None = None,
        token: str | None = None,
        target: str = "demo",
        request_id: int | str = 1,
        patience: float = 30,
        **params: Any,
    ) -> httpx.Response:
        """Make a tools/call of 2026-07-28, with more parameters."""
        return self.ask_for(
            "tools/call",
            tool,
            {"name": tool, "arguments": arguments or {}, **params},
            capabilities=capabilities,
            token=token,
            target=target,
            request_id=request_id,
            patience=patience,
        )

    def ask_for(
        self,
        method: str,
        name: str,
        params: dict[str, Any],
        *,
        capabilities: dict[str, Any] | None = None,
        token: str | None = None,
        target: str = "demo",
        request_id: int | str = 1,
        patience: float = 30,
    ) -> httpx.Response:
        """Make any request of 2026-07-28."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": NEW,
            "io.modelcontextprotocol/clientCapabilities": capabilities or {},
        }
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": meta}}
        named = {"mcp-name": name} if name else {}
        headers = self.headers(token, **{"mcp-protocol-version": NEW, "mcp-method": method, **named})
        return self.post(message, headers, target, patience=patience)

    def ask_legacy(
        self,
        tool: str = "write_note",
        arguments: dict[str, Any] | None = None,
        *,
        token: str | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Make a tools/call of 2025-11-25; `headers` are added, `meta` is the call's `_meta`."""
        message = call(tool, arguments, request_id=more.get("request_id", 1))
        if "meta" in more:
            message["params"]["_meta"] = more["meta"]
        return self.post(message, self.headers(token, **more.get("headers", {})))

    # The reviewer

    def pending(self, text: str) -> dict[str, Any]:
        """The pending request with this text among what reviewers read, as soon as it is there."""
        admin, token, version = self.admin(), self.id_token(), -1
        until = time.monotonic() + 20
        while time.monotonic() < until:
            version = admin.call_sync("approvals.wait_change", {"since": version})["version"]
            found = admin.call_sync("approvals.list", {"id_token": token, "state": ["pending"], "limit": 200})
            for listed in found["requests"]:
                # A list leaves out what is large.
                request = admin.call_sync("approvals.get", {"id_token": token, "id": listed["id"]})
                if text in json.dumps(request["preview"]):
                    return request
        raise AssertionError(f"nothing waits that holds `{text}`")

    def read(self, ticket: str) -> dict[str, Any]:
        """One request as it stands."""
        return self.admin().call_sync("approvals.get", {"id": ticket, "id_token": self.id_token()})

    def decide(self, request: dict[str, Any], verdict: str = "approve", comment: str = "") -> None:
        """Decide as a reviewer who read it."""
        said = {
            "id": request["id"],
            "expect": request["intent"],
            "preview": request["preview_digest"],
            "verdict": verdict,
            "comment": comment,
        }
        self.admin().call_sync("approvals.decide", {**said, "id_token": self.id_token()})

    def until_waiting(self, request: dict[str, Any], number: int) -> None:
        """Return once so many callers are on the line."""
        until = time.monotonic() + 20
        while self.read(request["id"])["waiters"] != number:
            assert time.monotonic() < until
            time.sleep(0.01)  # the gateway notices in a process of its own


@contextmanager
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """Do something in a thread of its own."""
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


def result(answer: httpx.Response) -> dict[str, Any]:
    """The result that came as JSON. Raises AssertionError where there is none."""
    said = answer.json()
    assert "result" in said, said
    return said["result"]


def state(answer: httpx.Response) -> str:
    """The state of an answer that has its caller come back."""
    found = result(answer)
    assert found["resultType"] == "input_required", found
    return found["requestState"]


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """What a program reads of a refusal."""
    said = answer.json()
    return said["error"]["data"] if "error" in said else said["result"]["_meta"]["holdpoint/refusal"]


def messages(answer: httpx.Response) -> list[dict[str, Any]]:
    """The messages of an event stream."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
