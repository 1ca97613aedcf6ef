import pytest

from holdpoint.domain.access import Action, McpMethod, McpPrompt, McpResource, McpServerRequest, McpTool, Protocol
from holdpoint.domain.canonical import digest
from holdpoint.protocols import mcp, strict_json
from holdpoint.protocols.call import Call, Undecodable

JSON = (b"Content-Type", b"application/json")
BOTH = (b"Accept", b"application/json, text/event-stream")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1.2"},
}
PROMPT = {"type": "ref/prompt", "name": "p"}
TEMPLATE = {"type": "ref/resource", "uri": "repo://{x}/y"}


def post(message, *headers, version="2025-11-25") -> Call:
    said = [JSON, BOTH, *headers]
    if version:
        said.append((b"MCP-Protocol-Version", version.encode()))
    return mcp.decode(method="POST", headers=said, body=strict_json.dumps(message))


def request(method, params=None, **more):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}, **more}


def call_tool(arguments=None, *, name="scale", request_id=1, version="2025-11-25", **params):
    message = request("tools/call", {"name": name, "arguments": arguments or {}, **params}, id=request_id)
    return post(message, version=version)


def test_a_tool_call_says_tool_and_arguments():
    call = call_tool({"replicas": 3, "namespace": "prod"}, request_id="r-1")
    assert call.action == Action(Protocol.MCP, "tools/call")
    assert call.resource == McpTool("scale")
    assert call.arguments == {"replicas": 3, "namespace": "prod"}
    assert call.request_id == "r-1"
    assert call.protocol_version == "2025-11-25"
    assert call.is_write
    assert call.accepts_sse
    assert not call.is_notification


def test_a_modern_tool_call_is_decoded_with_what_the_client_says_of_itself():
    message = request("tools/call", {"name": "t", "arguments": {"a": 1}, "_meta": {**META, "progressToken": "p"}})
    call = post(message, (b"Mcp-Method", b"tools/call"), (b"Mcp-Name", b"t"), version="2026-07-28")
    assert call.resource == McpTool("t")
    assert call.unverified == {"client": "agent", "client_version": "1.2", "protocol_version": "2026-07-28"}
    assert call.progress_token == "p"


@pytest.mark.parametrize(
    ("method", "params", "resource", "arguments"),
    [
        ("prompts/get", {"name": "p", "arguments": {"x": "y"}}, McpPrompt("p"), {"x": "y"}),
        ("resources/read", {"uri": "test://a"}, McpResource("test://a"), {"uri": "test://a"}),
        ("resources/subscribe", {"uri": "test://a"}, McpResource("test://a"), {"uri": "test://a"}),
        ("resources/unsubscribe", {"uri": "test://a"}, McpResource("test://a"), {"uri": "test://a"}),
        ("tools/list", {"cursor": "c", "_meta": {"a": 1}}, McpMethod(), {"cursor": "c"}),
        ("completion/complete", {"ref": PROMPT, "argument": {}}, McpPrompt("p"), {"ref": PROMPT, "argument": {}}),
        ("completion/complete", {"ref": TEMPLATE}, McpResource("repo://{x}/y"), {"ref": TEMPLATE}),
        ("tasks/get", {"taskId": "t-1"}, McpMethod(), {"taskId": "t-1"}),
        ("logging/setLevel", {"level": "debug"}, McpMethod(), {"level": "debug"}),
        ("vendor/thing", {"a": [1]}, McpMethod(), {"a": [1]}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_other_methods_are_decoded_by_name(method, params, resource, arguments):
    call = post(request(method, params))
    assert (call.action.verb, call.resource, call.arguments) == (method, resource, arguments)


@pytest.mark.parametrize(
    ("method", "is_write"),
    [
        ("tools/list", False),
        ("ping", False),
        ("initialize", False),
        ("prompts/list", False),
        ("prompts/get", False),
        ("resources/list", False),
        ("resources/templates/list", False),
        ("resources/read", False),
        ("completion/complete", False),
        ("tools/call", True),
        ("logging/setLevel", True),
        ("tasks/cancel", True),
        ("Tools/List", True),
        ("unheard/of", True),
    ],
)
def test_only_what_is_known_to_change_nothing_is_a_read(method, is_write):
    params = {"name": "x", "uri": "a:b", "taskId": "t", "ref": PROMPT}
    assert post(request(method, params)).is_write is is_write


def test_a_notification_is_owed_no_answer():
    call = post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}})
    assert call.is_notification
    assert call.request_id is None
    assert call.is_write


def test_a_response_to_the_server_has_a_verb_of_its_own():
    answer = {"jsonrpc": "2.0", "id": 7, "result": {"action": "accept"}}
    call = post(answer, (b"Mcp-Session-Id", b"s-1"))
    assert call.action.verb == "response"
    assert call.resource == McpServerRequest("")
    assert call.answers == 7
    assert call.arguments == {"result": {"action": "accept"}}
    assert call.request_id is None
    assert call.is_write
    assert digest(call.intent) != digest(post({**answer, "id": 8}, (b"Mcp-Session-Id", b"s-1")).intent)
    assert digest(call.intent) != digest(post(answer, (b"Mcp-Session-Id", b"s-2")).intent)


def test_an_error_to_the_server_is_a_response_too():
    call = post({"jsonrpc": "2.0", "id": 7, "error": {"code": -1, "message": "no", "data": [1]}})
    assert call.action.verb == "response"
    assert call.arguments == {"error": {"code": -1, "message": "no", "data": [1]}}


@pytest.mark.parametrize(
    ("method", "verb", "is_write"), [("GET", "session/listen", False), ("DELETE", "session/delete", True)]
)
def test_sessions_have_verbs(method, verb, is_write):
    headers = [(b"Mcp-Session-Id", b"s-1"), (b"Accept", b"text/event-stream"), (b"Last-Event-ID", b"4")]
    call = mcp.decode(method=method, headers=headers, body=b"")
    assert (call.action.verb, call.is_write, call.session) == (verb, is_write, "s-1")
    assert call.arguments == ({"lastEventId": "4"} if method == "GET" else {})
    assert call.accepts_sse


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "post", "", "POST "])
def test_other_http_methods_are_refused(method):
    with pytest.raises(Undecodable) as caught:
        mcp.decode(method=method, headers=[JSON], body=b"{}")
    assert caught.value.status == 405
    assert caught.value.allow == "GET, POST, DELETE"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_where_none_belongs_is_refused(method):
    with pytest.raises(Undecodable, match="body"):
        mcp.decode(method=method, headers=[], body=b"{}")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([(b"content-type", b"text/plain")], id="other"),
        pytest.param([(b"content-type", b"application/json; charset=utf-16")], id="other charset"),
        pytest.param([(b"content-type", b'application/json; Charset="latin-1"')], id="quoted charset"),
        pytest.param([(b"content-type", b"application/json, text/plain")], id="two in one"),
        pytest.param([JSON, (b"content-encoding", b"gzip")], id="compressed"),
        pytest.param([JSON, (b"content-encoding", b"identity, br")], id="compressed in steps"),
    ],
)
def test_only_plain_json_is_read(headers):
    with pytest.raises(Undecodable) as caught:
        mcp.decode(method="POST", headers=headers, body=b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert caught.value.status == 415


@pytest.mark.parametrize("value", [b"application/json; charset=UTF-8", b"Application/JSON", b"application/json;"])
def test_json_may_say_that_it_is_utf8(value):
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert mcp.decode(method="POST", headers=[(b"Content-Type", value)], body=body).action.verb == "ping"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([b"application/json, text/event-stream"], True),
        ([b"application/json", b"Text/Event-Stream;q=0.5"], True),
        ([b"*/*"], True),
        ([b"application/json"], False),
        ([b"application/json, text/event-stream;q=0"], False),
        ([b"text/event-stream; q=0.000"], False),
        ([], False),
    ],
)
def test_accept_says_whether_a_stream_is_welcome(accept, expected):
    headers = [JSON, *((b"Accept", value) for value in accept)]
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert mcp.decode(method="POST", headers=headers, body=body).accepts_sse is expected


@pytest.mark.parametrize("arguments", [None, [], "x", 1, [{"a": 1}]], ids=repr)
@pytest.mark.parametrize("method", ["tools/call", "prompts/get"])
def test_arguments_must_be_an_object(method, arguments):
    with pytest.raises(Undecodable, match="`arguments` is not an object") as caught:
        post(request(method, {"name": "x", "arguments": arguments}, id=9))
    assert (caught.value.code, caught.value.request_id) == (-32602, 9)


def test_arguments_may_be_left_out():
    assert post(request("tools/call", {"name": "x"})).arguments == {}


@pytest.mark.parametrize("name", [None, "", 5, ["x"], "a\0", "x ", "\tx", "a\nb", "\u202ex"], ids=repr)
@pytest.mark.parametrize(
    ("method", "key"), [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")]
)
def test_a_name_must_be_a_name(method, key, name):
    with pytest.raises(Undecodable, match="is not a name") as caught:
        post(request(method, {key: name}))
    assert caught.value.code == -32602


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"request_id": "another"}, id="JSON-RPC id"),
        pytest.param({"_meta": {"progressToken": 5}}, id="progress token"),
        pytest.param({"_meta": {"traceparent": "00-1", "tracestate": "x", "baggage": "y"}}, id="trace"),
        pytest.param({"_meta": {}}, id="empty _meta"),
    ],
)
def test_a_retry_has_the_same_intent(change):
    assert digest(call_tool({"n": 1}, **change).intent) == digest(call_tool({"n": 1}).intent)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"arguments": {"n": 2}}, id="argument"),
        pytest.param({"arguments": {"n": 1.0}}, id="number of another type"),
        pytest.param({"arguments": {"n": 1, "m": None}}, id="one more argument"),
        pytest.param({"name": "other"}, id="tool"),
        pytest.param({"_meta": {"vendor/dryRun": False}}, id="unknown _meta"),
        pytest.param({"_meta": {"io.modelcontextprotocol/logLevel": "debug"}}, id="log level"),
        pytest.param({"task": {"ttl": 5}}, id="task"),
        pytest.param({"unknown": 1}, id="unknown parameter"),
    ],
)
def test_whatever_else_differs_is_another_intent(change):
    assert digest(call_tool(**{"arguments": {"n": 1}, **change}).intent) != digest(call_tool({"n": 1}).intent)


def test_param_headers_are_part_of_the_intent():
    message = request("tools/call", {"name": "x"})
    encoded = post(message, (b"Mcp-Param-Region", b"=?base64?ZXU=?="))
    assert digest(encoded.intent) == digest(post(message, (b"mcp-param-region", b"eu")).intent)
    assert digest(encoded.intent) != digest(post(message, (b"Mcp-Param-Region", b"us")).intent)
    assert digest(encoded.intent) != digest(post(message).intent)


def test_headers_of_mcp_that_nobody_knows_yet_are_part_of_the_intent():
    message = request("tools/call", {"name": "x"})
    assert post(message, (b"Mcp-Future", b"a")).intent["headers"] == {"mcp-future": ["a"]}
    assert "headers" not in post(message, (b"Mcp-Name", b"x"), (b"Mcp-Session-Id", b"s")).intent


def test_a_body_over_the_limit_is_refused():
    with pytest.raises(Undecodable) as caught:
        mcp.decode(method="POST", headers=[JSON], body=b'"' + b"x" * 100 + b'"', max_bytes=100)
    assert caught.value.status == 413


@pytest.mark.parametrize("session", [b"a b", b"a\tb", b"\xff", b"x" * 5000], ids=["blank", "tab", "not ASCII", "long"])
def test_a_strange_session_id_is_refused(session):
    with pytest.raises(Undecodable):
        mcp.decode(method="GET", headers=[(b"Mcp-Session-Id", session)], body=b"")


@pytest.mark.parametrize("verb", ["batch", "response", "session/listen", "session/delete"])
def test_a_method_cannot_take_one_of_the_gateways_own_verbs(verb):
    with pytest.raises(Undecodable) as caught:
        post(request(verb))
    assert (caught.value.code, caught.value.status) == (-32601, 400)


def test_refusals_know_the_request_they_refuse():
    with pytest.raises(Undecodable) as caught:
        post(request("tools/call", {"name": ""}, id="abc"))
    assert caught.value.request_id == "abc"
    assert caught.value.protocol_version == "2025-11-25"
    assert caught.value.refusal().kind.value == "bad_request"
