"""Every method of MCP in every version: taken as what it is, or refused with the code and status the version names."""

from pathlib import Path

import mcp_types.methods as sdk
import pytest

from holdpoint.domain.access import McpMethod, McpPrompt, McpResource, McpTool
from holdpoint.protocols import mcp, mcp_methods, strict_json
from holdpoint.protocols.call import Call, Undecodable

V1, V2, V3, V4 = VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
OLD = {V1, V2, V3}
ALL = {*OLD, V4}

META = {
    "io.modelcontextprotocol/protocolVersion": V4,
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}
PROMPT_REF = {"type": "ref/prompt", "name": "p"}
NOTHING = McpMethod()

# method: parameters, versions in which a client sends it, what it is about, whether it is a write
TABLE = {
    "initialize": ({"protocolVersion": V3, "capabilities": {"roots": {}}}, OLD, NOTHING, False),
    "ping": ({}, OLD, NOTHING, False),
    "server/discover": ({}, {V4}, NOTHING, False),
    "tools/list": ({"cursor": "c"}, ALL, NOTHING, False),
    "tools/call": ({"name": "t", "arguments": {"a": 1}}, ALL, McpTool("t"), True),
    "prompts/list": ({}, ALL, NOTHING, False),
    "prompts/get": ({"name": "p", "arguments": {"a": "b"}}, ALL, McpPrompt("p"), False),
    "resources/list": ({}, ALL, NOTHING, False),
    "resources/templates/list": ({}, ALL, NOTHING, False),
    "resources/read": ({"uri": "a://b"}, ALL, McpResource("a://b"), False),
    "resources/subscribe": ({"uri": "a://b"}, OLD, McpResource("a://b"), True),
    "resources/unsubscribe": ({"uri": "a://b"}, OLD, McpResource("a://b"), True),
    "completion/complete": ({"ref": PROMPT_REF, "argument": {}}, ALL, McpPrompt("p"), False),
    "logging/setLevel": ({"level": "debug"}, OLD, NOTHING, True),
    "subscriptions/listen": ({"notifications": {"toolsListChanged": True}}, {V4}, NOTHING, False),
    "tasks/get": ({"taskId": "k"}, {V3, V4}, NOTHING, False),
    "tasks/result": ({"taskId": "k"}, {V3}, NOTHING, False),
    "tasks/list": ({}, {V3}, NOTHING, False),
    "tasks/cancel": ({"taskId": "k"}, {V3, V4}, NOTHING, True),
    "tasks/update": ({"taskId": "k", "inputResponses": {}}, {V4}, NOTHING, True),
    "notifications/initialized": ({}, OLD, NOTHING, False),
    "notifications/progress": ({"progressToken": 1, "progress": 1}, OLD, NOTHING, False),
    "notifications/roots/list_changed": ({}, OLD, NOTHING, False),
    "notifications/cancelled": ({"requestId": 1}, ALL, NOTHING, True),
    "notifications/tasks/status": ({"taskId": "k", "status": "working"}, {V3}, NOTHING, True),
    "sampling/createMessage": ({}, set(), NOTHING, True),
    "roots/list": ({}, set(), NOTHING, True),
    "elicitation/create": ({}, set(), NOTHING, True),
    "notifications/message": ({"level": "info", "data": 1}, set(), NOTHING, True),
    "notifications/tools/list_changed": ({}, set(), NOTHING, True),
    "notifications/prompts/list_changed": ({}, set(), NOTHING, True),
    "notifications/resources/list_changed": ({}, set(), NOTHING, True),
    "notifications/resources/updated": ({"uri": "a://b"}, set(), NOTHING, True),
    "notifications/elicitation/complete": ({}, set(), NOTHING, True),
    "notifications/subscriptions/acknowledged": ({}, set(), NOTHING, True),
    "notifications/tasks": ({"taskId": "k"}, set(), NOTHING, True),
    # Extensions that nobody here knows: policy decides, as on a write.
    "vendor/thing": ({"name": "t", "uri": "a://b"}, ALL, NOTHING, True),
    "notifications/vendor/thing": ({}, ALL, NOTHING, True),
}
MIRRORED = {"tools/call": "t", "prompts/get": "p", "resources/read": "a://b"}
BY_TASK = {"tasks/get", "tasks/result", "tasks/cancel", "tasks/update"}


def send(method: str, version: str | None, headers: dict[str, str | None] | None = None) -> Call:
    params = dict(TABLE[method][0])
    said: dict[str, str | None] = {"Content-Type": "application/json", "MCP-Protocol-Version": version}
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    if not method.startswith("notifications/"):
        message["id"] = 5
    if version == V4:
        params["_meta"] = META
        said["Mcp-Method"] = method
        said["Mcp-Name"] = MIRRORED.get(method)
    said.update(headers or {})
    pairs = [(k.encode(), v.encode()) for k, v in said.items() if v is not None]
    return mcp.decode(method="POST", headers=pairs, body=strict_json.dumps(message))


def refused(method: str, version: str | None, headers: dict[str, str | None] | None = None) -> tuple[int | None, int]:
    """Return code and status of the answer."""
    with pytest.raises(Undecodable) as caught:
        send(method, version, headers)
    return caught.value.code, mcp.undecodable(caught.value, refusal_id="r").status


CELLS = [(method, version) for method in TABLE for version in VERSIONS]


@pytest.mark.parametrize(("method", "version"), [(m, v) for m, v in CELLS if v in TABLE[m][1]])
def test_a_method_of_the_version_is_taken_as_what_it_is(method, version):
    params, _, resource, is_write = TABLE[method]
    call = send(method, version)
    assert (call.action.verb, call.resource, call.is_write) == (method, resource, is_write)
    assert call.arguments == params.get("arguments", params)
    assert call.protocol_version == version
    assert call.is_notification is method.startswith("notifications/")
    assert call.request_id == (None if call.is_notification else 5)
    assert call.task == ("k" if method in BY_TASK else "")
    assert call.capabilities == (
        {"elicitation": {}} if version == V4 else {"roots": {}} if method == "initialize" else {}
    )


@pytest.mark.parametrize(("method", "version"), [(m, v) for m, v in CELLS if v not in TABLE[m][1]])
def test_a_method_that_no_client_sends_in_the_version_is_not_found(method, version):
    # 404 tells a client with a session that it has none any more, and only requests can be told in a body.
    without_status = 200 if not method.startswith("notifications/") else 400
    assert refused(method, version) == (-32601, 404 if version == V4 else without_status)


@pytest.mark.parametrize("method", TABLE)
def test_without_a_version_every_method_of_a_version_with_sessions_is_taken(method):
    """The session may have agreed on any of them (2025-06-18, transports): all is decided either way."""
    if TABLE[method][1] & OLD:
        assert send(method, None).action.verb == method
    else:
        assert refused(method, None)[0] == -32601


@pytest.mark.parametrize(("method", "version"), [(m, v) for m, v in CELLS if v in TABLE[m][1]])
def test_a_mirror_of_another_method_or_name_is_refused(method, version):
    assert refused(method, version, {"Mcp-Method": "tools/list2"}) == (-32020, 400)
    assert refused(method, version, {"Mcp-Name": "another"}) == (-32020, 400)


@pytest.mark.parametrize("method", [m for m in TABLE if V4 in TABLE[m][1] and not m.startswith("notifications/")])
def test_the_modern_version_needs_its_mirrors(method):
    assert refused(method, V4, {"Mcp-Method": None}) == (-32020, 400)
    if method in MIRRORED:
        assert refused(method, V4, {"Mcp-Name": None}) == (-32020, 400)


@pytest.mark.parametrize("method", sorted(BY_TASK - {"tasks/result"}))
def test_a_task_may_be_mirrored(method):
    assert send(method, V4, {"Mcp-Name": "k"}).task == "k"
    assert refused(method, V4, {"Mcp-Name": "t"}) == (-32020, 400)


@pytest.mark.parametrize("method", TABLE)
@pytest.mark.parametrize("version", ["2024-11-05", "2026-07-29", ""])
def test_no_method_is_taken_in_a_version_that_nobody_speaks(method, version):
    assert refused(method, version) == (-32022, 400)


def test_this_table_and_the_decoders_hold_the_same_methods():
    assert set(mcp_methods.METHODS) == {m for m in TABLE if "vendor" not in m}


def test_the_table_says_what_the_reference_sdk_says():
    """It leaves out tasks (2025-11-25: an experiment; 2026-07-28: an extension)."""
    theirs = {(m, v) for m, v in (*sdk.CLIENT_REQUESTS, *sdk.CLIENT_NOTIFICATIONS) if v in VERSIONS}
    ours = {(m.name, v) for m in mcp_methods.METHODS.values() for v in m.by_client if "tasks" not in m.name}
    assert ours == theirs
    theirs = {(m, v) for m, v in (*sdk.SERVER_REQUESTS, *sdk.SERVER_NOTIFICATIONS) if v in VERSIONS}
    ours = {(m.name, v) for m in mcp_methods.METHODS.values() for v in m.by_server if "tasks" not in m.name}
    inside_results = {(m, V4) for m in mcp_methods.ASKED_OF_CLIENTS}
    assert ours - inside_results == theirs


def test_rounds_belong_to_the_methods_of_the_reference_sdk():
    assert {m.name for m in mcp_methods.METHODS.values() if m.takes_rounds} == set(sdk.INPUT_REQUIRED_METHODS)


@pytest.mark.parametrize("method", sorted(mcp_methods.METHODS))
def test_every_method_is_in_the_reference(method):
    page = Path(__file__).parents[3].joinpath("docs/reference/mcp-decoding.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith("|") and f"`{method}`" in line.split("|")[1]]
    is_write = mcp_methods.METHODS[method].writes and bool(mcp_methods.METHODS[method].by_client)
    assert row.rstrip("| ").endswith("| yes") is is_write
