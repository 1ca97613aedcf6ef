"""From a decoded message to what policy is asked."""

from pathlib import Path

import pytest
from mitmproxy import http
from tests.fakes.policies import ADA, bundle_of, policy_text

from holdpoint.domain.access import McpMethod, McpResource, Protocol
from holdpoint.domain.decision import Deny, Permit
from holdpoint.domain.exchange import Identified, Received
from holdpoint.policy.engine import Engine
from holdpoint.protocols import mcp, strict_json
from holdpoint.settings import Target
from holdpoint.stages.decode import access_of, below, drop_what_sessions_use

STATE = Identified(Received("ex", "mcp", "l", "127.0.0.1", 1.0, "/"), ADA)
TARGET = Target("mcp", Protocol.MCP, "http", "h", 80, "")
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
RULES = policy_text(
    'name: stream, effect: allow, match: {verbs: ["subscriptions/listen", "tasks/get"]}',
    'name: public, effect: allow, match: {verbs: [resources/subscribe], uris: ["file:///public/*"]}',
)


def listen(*uris: str, tasks: tuple[str, ...] = ()):
    wanted = {"resourceSubscriptions": [*uris], "taskIds": [*tasks]}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscriptions/listen",
        "params": {"_meta": META, "notifications": wanted},
    }
    headers = {
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "subscriptions/listen",
    }
    pairs = [(k.encode(), v.encode()) for k, v in headers.items()]
    return access_of(STATE, TARGET, mcp.decode(method="POST", headers=pairs, body=strict_json.dumps(message)))


def test_everything_that_a_stream_will_tell_of_is_asked_of_policy() -> None:
    asked = listen("file:///public/a", tasks=("k",))
    assert asked.resource == McpMethod()
    assert [(m.action.verb, m.resource, m.principal, m.target) for m in asked.members] == [
        ("resources/subscribe", McpResource("file:///public/a"), ADA, "mcp"),
        ("tasks/get", McpMethod(), ADA, "mcp"),
    ]


@pytest.mark.parametrize(
    ("uris", "kind"),
    [
        ((), Permit),
        (("file:///public/a",), Permit),
        (("file:///secret/a",), Deny),
        (("file:///public/a", "file:///secret/a"), Deny),
    ],
)
def test_a_stream_tells_of_nothing_that_could_not_be_subscribed_to(tmp_path: Path, uris, kind) -> None:
    assert isinstance(Engine(bundle_of(tmp_path, RULES)).decide(listen(*uris, tasks=("k",))), kind)


@pytest.mark.parametrize("name", [b"Mcp-Session-Id", b"mcp_session_id", b"LAST-EVENT-ID"])
def test_what_sessions_use_is_dropped_and_nothing_else(name: bytes) -> None:
    kept = ((b"Mcp-Method", b"ping"), (b"X-Tenant", b"a"))
    request = http.Request.make("POST", "http://h/", b"{}", http.Headers([kept[0], (name, b"s"), kept[1]]))
    drop_what_sessions_use(request)
    assert [f for f in request.headers.fields if f[0] != b"content-length"] == [*kept]


@pytest.mark.parametrize(
    ("base", "path", "seen"),
    [
        ("", "/api/v1/pods?watch=1", "/api/v1/pods?watch=1"),
        ("", "/", "/"),
        ("/clusters/c-1", "/clusters/c-1/api/v1/pods", "/api/v1/pods"),
        ("/clusters/c-1", "/clusters/c-1", "/"),
        ("/clusters/c-1", "/clusters/c-1?a=1", "/?a=1"),
        ("/clusters/c-1", "/clusters/c-1/clusters/c-1/api", "/clusters/c-1/api"),
    ],
)
def test_api_server_below_a_base_path_is_asked_for_what_stands_after_it(base: str, path: str, seen: str) -> None:
    assert below(Target("c", Protocol.KUBERNETES, "https", "h", 443, base), path) == seen
