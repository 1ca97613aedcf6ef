"""Every method of every version of MCP under every decision, through the real gateway.

The table of methods here is the specification's, written down once more: it does not come from the code it checks.
"""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.echo_mcp import EchoMcp, gateway_of
from tests.fakes.world import World

pytestmark = pytest.mark.e2e

LEGACY = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
VERSIONS = (*LEGACY, MODERN)
HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "matrix", "version": "1"}}
PROMPT = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "who", "value": "a"}}
TEMPLATE = {"ref": {"type": "ref/resource", "uri": "file:///{path}"}, "argument": {"name": "path", "value": "a"}}

# method, parameters, versions in which a client sends it
REQUESTS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("initialize", HANDSHAKE, LEGACY),
    ("ping", {}, LEGACY),
    ("server/discover", {}, (MODERN,)),
    ("tools/list", {}, VERSIONS),
    ("tools/call", {"name": "hammer", "arguments": {"force": 3}}, VERSIONS),
    ("prompts/list", {}, VERSIONS),
    ("prompts/get", {"name": "greet", "arguments": {"who": "you"}}, VERSIONS),
    ("resources/list", {}, VERSIONS),
    ("resources/templates/list", {}, VERSIONS),
    ("resources/read", {"uri": "file:///notes.txt"}, VERSIONS),
    ("resources/subscribe", {"uri": "file:///notes.txt"}, LEGACY),
    ("resources/unsubscribe", {"uri": "file:///notes.txt"}, LEGACY),
    ("completion/complete", PROMPT, VERSIONS),
    ("completion/complete", TEMPLATE, VERSIONS),
    ("logging/setLevel", {"level": "debug"}, LEGACY),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, (MODERN,)),
    ("acme/frobnicate", {"how": "well"}, VERSIONS),
]
NOTIFICATIONS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("notifications/initialized", {}, LEGACY),
    ("notifications/progress", {"progressToken": 1, "progress": 0.5}, LEGACY),
    ("notifications/roots/list_changed", {}, LEGACY),
    ("notifications/cancelled", {"requestId": 99}, VERSIONS),
]
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
OF_SERVERS = ["sampling/createMessage", "roots/list", "elicitation/create"]
DECISIONS = ("allow", "deny", "hold")

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: matrix}
targets: [matrix]
rules:
  - name: everything-for-some
    effect: allow
    match: {verbs: ["*"], tools: ["*"], prompts: ["*"], uris: ["*"], principals: {groups: [allow]}}
  - name: messages-for-some
    effect: allow
    match:
      verbs: [initialize, ping, "server/*", "*/list", "logging/*", "subscriptions/*", "acme/*", "notifications/*"]
      principals: {groups: [allow]}
  - name: everything-is-reviewed-for-others
    effect: hold
    match: {any: true, principals: {groups: [hold]}}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}
"""
TARGET = """\
  - name: matrix
    protocol: mcp
    url: {url}
    routes: [/mcp/matrix]
    credential: {{kind: none}}
    hold: {{wait: 0s, ladder: [ticket]}}
"""

CASES = [
    pytest.param(verb, params, version, decision, id=f"{index}-{verb}-{version}-{decision}")
    for index, (verb, params, versions) in enumerate(REQUESTS)
    for version in versions
    for decision in DECISIONS
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[EchoMcp]:
    with EchoMcp() as started:
        yield started


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, upstream: EchoMcp) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("matrix")
    with gateway_of(folder, "matrix", policy=POLICY, target=TARGET.format(url=upstream.url)) as world:
        yield world


@pytest.fixture(scope="module")
def client(matrix: World) -> Iterator[httpx.Client]:
    with matrix.client() as opened:
        yield opened


_ids = count(1)


def message(verb: str, params: dict[str, Any], version: str, *, notification: bool = False) -> bytes:
    said = dict(params)
    if version == MODERN and not notification:
        said["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    body: dict[str, Any] = {"jsonrpc": "2.0", "method": verb, "params": said}
    if not notification:
        body["id"] = next(_ids)
    return json.dumps(body).encode()


def headers(world: World, version: str, decision: str, verb: str, params: dict[str, Any]) -> dict[str, str]:
    found = {
        "authorization": f"Bearer {world.token(sub=f'u-{decision}', groups=[decision], email='m@corp.example')}",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
    }
    if version != "2025-03-26":
        found["mcp-protocol-version"] = version
    if version == MODERN:
        found["mcp-method"] = verb
        if verb in NAMED:
            found["mcp-name"] = params[NAMED[verb]]
    return found


def send(world: World, client: httpx.Client, version: str, decision: str, verb: str, body: bytes) -> httpx.Response:
    params = json.loads(body).get("params", {})
    return client.post(
        f"{world.base}/mcp/matrix", content=body, headers=headers(world, version, decision, verb, params)
    )


def arrived(upstream: EchoMcp, body: bytes) -> int:
    return sum(1 for method, seen in upstream.seen if method == "POST" and seen == body)


@pytest.mark.parametrize(("verb", "params", "version", "decision"), CASES)
def test_a_request_is_decided(
    matrix: World,
    client: httpx.Client,
    upstream: EchoMcp,
    verb: str,
    params: dict[str, Any],
    version: str,
    decision: str,
) -> None:
    body = message(verb, params, version)
    before = len(upstream.seen)
    answer = send(matrix, client, version, decision, verb, body)
    said = answer.json()
    assert said["id"] == json.loads(body)["id"], "whoever asked must be able to tell"
    if decision == "allow":
        assert (answer.status_code, said.get("result", {}).get("said")) == (200, "yes"), said
        assert arrived(upstream, body) == 1, "byte by byte what was decided"
        return
    assert len(upstream.seen) == before, "nothing may arrive"
    if decision == "hold" and verb == "tools/call":
        assert answer.status_code == 200
        assert said["result"]["isError"] is True
        assert said["result"]["_meta"]["holdpoint/refusal"]["ticket"]
        return
    assert said["error"]["code"] == (4030 if decision == "deny" else 4031)
    assert answer.status_code == (403 if version == MODERN else 200)
    assert said["error"]["data"]["kind"] == ("denied" if decision == "deny" else "held")


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize(
    ("verb", "params", "version"),
    [pytest.param(v, p, x, id=f"{v}-{x}") for v, p, versions in NOTIFICATIONS for x in versions],
)
def test_a_notification_is_decided(
    matrix: World,
    client: httpx.Client,
    upstream: EchoMcp,
    verb: str,
    params: dict[str, Any],
    version: str,
    decision: str,
) -> None:
    body = message(verb, params, version, notification=True)
    before = len(upstream.seen)
    answer = send(matrix, client, version, decision, verb, body)
    if decision == "allow":
        assert (answer.status_code, len(upstream.seen)) == (202, before + 1)
    else:
        # Nobody waits for a notification's answer: what needs an approval cannot be told of one.
        assert (answer.status_code, len(upstream.seen)) == (403, before)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("verb", OF_SERVERS)
def test_what_servers_ask_is_nothing_for_a_client_to_send(
    matrix: World, client: httpx.Client, upstream: EchoMcp, verb: str, version: str
) -> None:
    before = len(upstream.seen)
    answer = send(matrix, client, version, "allow", verb, message(verb, {}, version))
    assert (answer.json()["error"]["code"], len(upstream.seen)) == (-32601, before)


@pytest.mark.parametrize(
    ("verb", "params", "version"),
    [pytest.param(v, p, x, id=f"{v}-{x}") for v, p, versions in REQUESTS for x in sorted({*VERSIONS} - {*versions})],
)
def test_a_method_that_the_version_does_not_have_goes_nowhere(
    matrix: World, client: httpx.Client, upstream: EchoMcp, verb: str, params: dict[str, Any], version: str
) -> None:
    before = len(upstream.seen)
    answer = send(matrix, client, version, "allow", verb, message(verb, params, version))
    assert (answer.json()["error"]["code"], len(upstream.seen)) == (-32601, before)
    assert answer.status_code == (404 if version == MODERN else answer.status_code)


@pytest.mark.parametrize("denied", [None, "drop", "held"])
def test_a_batch_passes_whole_or_not_at_all(
    matrix: World, client: httpx.Client, upstream: EchoMcp, denied: str | None
) -> None:
    members = [json.loads(message("tools/call", {"name": "hammer", "arguments": {}}, "2025-03-26")) for _ in range(3)]
    members.append(json.loads(message("notifications/cancelled", {"requestId": 7}, "2025-03-26", notification=True)))
    if denied == "drop":
        members.append(json.loads(message("sampling/createMessage", {}, "2025-03-26")))
    body = json.dumps(members).encode()
    decision = "hold" if denied == "held" else "allow"
    before = len(upstream.seen)
    answer = client.post(
        f"{matrix.base}/mcp/matrix", content=body, headers=headers(matrix, "2025-03-26", decision, "", {})
    )
    if denied is None:
        assert (answer.status_code, upstream.seen[-1]) == (200, ("POST", body))
        assert [a["id"] for a in answer.json()] == [m["id"] for m in members[:3]]
    else:
        assert len(upstream.seen) == before
        assert answer.status_code >= 400 or all("result" in a or "error" in a for a in answer.json())
