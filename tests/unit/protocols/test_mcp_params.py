import pytest

from holdpoint.domain.access import McpMethod, McpPrompt, McpResource
from holdpoint.protocols import mcp, strict_json
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.mcp_params import MOST_LISTENED

VERSION = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {"roots": {}}}


def post(method, params, *headers, version=VERSION) -> Call:
    said = [(b"Content-Type", b"application/json"), (b"MCP-Protocol-Version", version.encode()), *headers]
    if version == VERSION:
        params = {"_meta": META, **params}
        said.append((b"Mcp-Method", method.encode()))
        name = params.get("uri" if method == "resources/read" else "name")
        if name is not None and method in {"tools/call", "prompts/get", "resources/read"}:
            said.append((b"Mcp-Name", name.encode()))
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return mcp.decode(method="POST", headers=said, body=strict_json.dumps(message))


def refused(method, params, **more) -> str:
    with pytest.raises(Undecodable) as caught:
        post(method, params, **more)
    assert caught.value.code == -32602
    return str(caught.value)


def listen(**wanted) -> Call:
    return post("subscriptions/listen", {"notifications": wanted})


# -- what a completion is for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2025-03-26", "2025-11-25", VERSION])
@pytest.mark.parametrize(
    ("ref", "resource"),
    [
        ({"type": "ref/prompt", "name": "p"}, McpPrompt("p")),
        ({"type": "ref/prompt", "name": "p", "title": "P"}, McpPrompt("p")),
        ({"type": "ref/resource", "uri": "file:///{path}"}, McpResource("file:///{path}")),
    ],
)
def test_a_completion_is_about_what_it_completes(ref, resource, version):
    assert post("completion/complete", {"ref": ref}, version=version).resource == resource


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param(None, id="none"),
        pytest.param("p", id="text"),
        pytest.param({}, id="empty"),
        pytest.param({"name": "p"}, id="no type"),
        pytest.param({"type": "ref/tool", "name": "p"}, id="another type"),
        pytest.param({"type": "REF/PROMPT", "name": "p"}, id="type in another case"),
        pytest.param({"type": "ref/prompt"}, id="no name"),
        pytest.param({"type": "ref/prompt", "name": 5}, id="name is no text"),
        pytest.param({"type": "ref/prompt", "name": "p", "uri": "a://b"}, id="prompt and resource"),
        pytest.param({"type": "ref/resource", "uri": "a://b", "name": "p"}, id="resource and prompt"),
        pytest.param({"type": "ref/resource", "uri": "file:///public/../etc"}, id="dot segments"),
        pytest.param({"type": "ref/prompt", "name": "p", "Name": "q"}, id="two names"),
        pytest.param({"type": "ref/prompt", "name": "p", "type\0": "ref/resource"}, id="two types"),
    ],
)
def test_a_completion_for_something_unclear_is_refused(ref):
    refused("completion/complete", {"ref": ref, "argument": {"name": "a", "value": "b"}})


# -- what a stream tells of --------------------------------------------------------------------------------------------


def test_a_stream_is_decided_with_everything_that_it_will_tell_of():
    call = listen(toolsListChanged=True, resourceSubscriptions=["a://x", "a://y", "a://x"], taskIds=["k-1"])
    assert call.resource == McpMethod()
    wanted = call.arguments["notifications"]
    assert wanted["resourceSubscriptions"] == ["a://x", "a://y", "a://x"]
    assert [(m.action.verb, m.resource, m.arguments, m.task) for m in call.members] == [
        ("resources/subscribe", McpResource("a://x"), {"uri": "a://x"}, ""),
        ("resources/subscribe", McpResource("a://y"), {"uri": "a://y"}, ""),
        ("tasks/get", McpMethod(), {"taskId": "k-1"}, "k-1"),
    ]
    assert all(m.request_id is None for m in call.members)


@pytest.mark.parametrize("params", [{}, {"notifications": {}}, {"notifications": {"promptsListChanged": True}}])
def test_a_stream_that_names_nothing_is_one_message(params):
    assert post("subscriptions/listen", params).members == ()


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="array"),
        pytest.param({"resourceSubscriptions": None}, id="null URIs"),
        pytest.param({"resourceSubscriptions": "a://x"}, id="one URI as text"),
        pytest.param({"resourceSubscriptions": {"a://x": True}}, id="URIs as an object"),
        pytest.param({"resourceSubscriptions": [1]}, id="a number"),
        pytest.param({"resourceSubscriptions": [""]}, id="empty URI"),
        pytest.param({"resourceSubscriptions": ["file:///a/%2e%2e/b"]}, id="encoded dot segments"),
        pytest.param({"taskIds": [{}]}, id="task is an object"),
        pytest.param({"taskIds": [" k"]}, id="padded task"),
        pytest.param({"ResourceSubscriptions": ["a://x"]}, id="another case"),
        pytest.param({"resourceSubscriptions\0": ["a://x"]}, id="NUL"),
        pytest.param({"resourceSubscriptions": [f"a://{n}" for n in range(MOST_LISTENED + 1)]}, id="too many"),
    ],
)
def test_a_stream_that_asks_for_something_unclear_is_refused(wanted):
    refused("subscriptions/listen", {"notifications": wanted})


def test_what_extensions_ask_a_stream_for_is_shown_to_policy():
    assert listen(vendorEvents=["x"]).arguments == {"notifications": {"vendorEvents": ["x"]}}


# -- calls that go on --------------------------------------------------------------------------------------------------

ROUND = {"requestState": "s-1", "inputResponses": {"q": {"action": "accept"}}}


@pytest.mark.parametrize(
    ("method", "params"),
    [("tools/call", {"name": "t"}), ("prompts/get", {"name": "t"}), ("resources/read", {"uri": "a:b"})],
)
def test_a_call_goes_on_with_state_and_answers(method, params):
    call = post(method, {**params, **ROUND})
    assert (call.request_state, call.input_responses) == ("s-1", {"q": {"action": "accept"}})
    said = call.intent["params"]
    assert (said["requestState"], said["inputResponses"]) == ("s-1", {"q": {"action": "accept"}})


def test_a_task_is_given_answers_and_no_state():
    call = post("tasks/update", {"taskId": "k", "inputResponses": {"q": {}}})
    assert (call.task, call.input_responses) == ("k", {"q": {}})
    refused("tasks/update", {"taskId": "k", **ROUND})


@pytest.mark.parametrize("key", ["requestState", "inputResponses"])
def test_null_is_nothing_said(key):
    call = post("tools/call", {"name": "t", key: None})
    assert (call.request_state, call.input_responses) == ("", {})


@pytest.mark.parametrize("key", ["requestState", "inputResponses"])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/list", {}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}}),
        ("subscriptions/listen", {}),
        ("server/discover", {}),
        ("tasks/get", {"taskId": "k"}),
        ("tasks/cancel", {"taskId": "k"}),
        ("vendor/thing", {}),
    ],
)
def test_no_other_method_goes_on(method, params, key):
    assert "do not belong" in refused(method, {**params, key: ROUND[key]})


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("key", ["requestState", "inputResponses"])
def test_no_call_goes_on_before_2026(version, key):
    assert "do not belong" in refused("tools/call", {"name": "t", key: ROUND[key]}, version=version)


@pytest.mark.parametrize(
    "params", [{"requestState": 1}, {"requestState": ""}, {"inputResponses": []}, {"inputResponses": "x"}]
)
def test_a_round_of_the_wrong_shape_is_refused(params):
    refused("tools/call", {"name": "t", **params})


# -- everything else that parameters say -------------------------------------------------------------------------------


def test_capabilities_are_those_of_the_request():
    assert post("tools/list", {}).capabilities == {"roots": {}}
    assert post("initialize", {"capabilities": {"x": {}}}, version="2025-11-25").capabilities == {"x": {}}
    assert post("initialize", {"capabilities": 5}, version="2025-11-25").capabilities == {}
    assert post("tools/list", {"capabilities": {"x": {}}}, version="2025-11-25").capabilities == {}


@pytest.mark.parametrize("method", ["tasks/get", "tasks/cancel", "tasks/update"])
@pytest.mark.parametrize("task", [None, 5, "", " k", "k\n"])
def test_a_task_id_is_a_name(method, task):
    assert "taskId" in refused(method, {"taskId": task})


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"Level": "debug"}, id="level in another case"),
        pytest.param({"TaskId": "k"}, id="task in another case"),
        pytest.param({"request\u017ftate": "x"}, id="request state with a long s"),
        pytest.param({"vendor": 1, "Vendor": 2}, id="two unknown ones"),
        pytest.param({"_meta": {**META, "io.modelcontextprotocol/ProtocolVersion": "2025-11-25"}}, id="two versions"),
        pytest.param({"_meta": {**META, "io.modelcontextprotocol/clientcapabilities": {}}}, id="two capabilities"),
        pytest.param({"_meta": []}, id="_meta is an array"),
    ],
)
def test_parameters_with_two_readings_are_refused(params):
    with pytest.raises(Undecodable) as caught:
        post("vendor/thing", params)
    assert caught.value.code == -32602


def test_2026_has_no_sessions_to_name():
    headers = [(b"Mcp-Session-Id", b"s-1"), (b"Last-Event-ID", b"e-1")]
    call = post("tools/list", {}, *headers)
    assert (call.session, call.last_event_id) == ("", "")
    legacy = post("tools/list", {}, *headers, version="2025-11-25")
    assert (legacy.session, legacy.last_event_id) == ("s-1", "e-1")
