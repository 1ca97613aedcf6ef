import pytest

from holdpoint.domain.access import Action, McpMethod, McpServerRequest, McpTool, Protocol
from holdpoint.domain.canonical import digest
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols import mcp, mcp_refusals, strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.mcp_batch import MOST
from holdpoint.protocols.mcp_refusals import Owed

JSON = (b"Content-Type", b"application/json")
V1 = (b"MCP-Protocol-Version", b"2025-03-26")


def post(messages, *headers):
    return mcp.decode(method="POST", headers=[JSON, *headers], body=strict_json.dumps(messages))


def refused(messages, *headers):
    with pytest.raises(Undecodable) as caught:
        post(messages, *headers)
    return caught.value


def call(request_id, name="t", **arguments):
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


LIST = {"jsonrpc": "2.0", "id": "l", "method": "tools/list"}
CANCEL = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}}
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"action": "accept"}}


@pytest.mark.parametrize("headers", [[], [V1]], ids=["no version said", "2025-03-26"])
def test_each_message_of_a_batch_is_decoded_by_itself(headers):
    batch = post([call(1, a=1), LIST, CANCEL, ANSWER], *headers, (b"Mcp-Session-Id", b"s"), (b"Accept", b"*/*"))
    assert batch.action == Action(Protocol.MCP, "batch")
    assert batch.resource == McpMethod()
    assert [m.action.verb for m in batch.members] == ["tools/call", "tools/list", "notifications/cancelled", "response"]
    assert [m.request_id for m in batch.members] == [1, "l", None, None]
    assert batch.members[0].resource == McpTool("t")
    assert batch.members[0].arguments == {"a": 1}
    assert batch.members[3].resource == McpServerRequest("")
    assert batch.members[3].answers == 1
    assert (batch.request_id, batch.session, batch.accepts_sse) == (None, "s", True)
    assert (batch.is_write, batch.is_notification) == (True, False)
    assert batch.protocol_version == "2025-03-26"


def test_a_batch_of_reads_is_a_read():
    assert not post([LIST, {**LIST, "id": 2}]).is_write


@pytest.mark.parametrize("messages", [[CANCEL], [ANSWER, CANCEL], [ANSWER]])
def test_a_batch_without_requests_is_owed_no_answer(messages):
    assert post(messages).is_notification


@pytest.mark.parametrize("version", [b"2025-06-18", b"2025-11-25", b"2026-07-28"])
def test_later_versions_have_no_batches(version):
    error = refused([LIST], (b"MCP-Protocol-Version", version))
    assert (error.code, error.status, error.request_id, error.batch_ids) == (-32600, 400, None, ())


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        pytest.param([], "without messages", id="empty"),
        pytest.param([call(n) for n in range(MOST + 1)], "at most", id="too many"),
        pytest.param([LIST, [LIST]], "array", id="a batch in a batch"),
        pytest.param([LIST, 1], "not a message", id="a number"),
        pytest.param([LIST, None], "not a message", id="null"),
        pytest.param([LIST, LIST], "same `id`", id="id twice"),
        pytest.param([call(1), call("1")], "same `id`", id="id twice, as text"),
        pytest.param([call(2**53), call(2**53 + 1)], "same `id`", id="id twice, as doubles"),
        pytest.param([ANSWER, ANSWER], "same `id`", id="answered twice"),
        pytest.param([{**LIST, "method": "initialize"}], "initialize", id="initialize"),
        pytest.param([LIST, call(1, name="")], "not a name", id="one that is broken"),
        pytest.param([LIST, {**LIST, "id": 2, "method": "roots/list"}], "only a server", id="a server's method"),
    ],
)
def test_a_batch_that_is_unclear_is_refused_whole(messages, match):
    error = refused(messages)
    assert match in str(error)
    assert error.code in {-32600, -32601, -32602}


def test_a_question_and_an_answer_may_have_the_same_id():
    assert len(post([call(1), ANSWER]).members) == 2


def test_as_many_messages_as_allowed_are_taken():
    assert len(post([call(n) for n in range(MOST)]).members) == MOST


@pytest.mark.parametrize("header", [b"Mcp-Method", b"Mcp-Name"])
def test_a_batch_has_no_mirrors(header):
    assert refused([call(1)], (header, b"tools/call" if header == b"Mcp-Method" else b"t")).code == -32020


def test_a_member_that_claims_another_version_is_refused():
    member = call(1)
    member["params"]["_meta"] = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    assert refused([LIST, member]).code == -32020


def test_the_intent_is_that_of_every_member_in_order():
    intent = post([call(1, a=1), CANCEL], (b"X-Tenant", b"blue")).intent
    assert intent == {
        "batch": [
            {"method": "tools/call", "params": {"name": "t", "arguments": {"a": 1}}},
            {"method": "notifications/cancelled", "params": {"requestId": 9}},
        ],
        "headers": {"x-tenant": ["blue"]},
    }
    assert digest(intent) == digest(post([call(7, a=1), CANCEL], (b"X-Tenant", b"blue")).intent)
    assert digest(intent) != digest(post([CANCEL, call(1, a=1)], (b"X-Tenant", b"blue")).intent)
    assert digest(intent) != digest(post([call(1, a=1), CANCEL]).intent)


def test_each_request_of_an_undecodable_batch_gets_an_answer():
    rendered = mcp.undecodable(refused([LIST, call(5, name=""), CANCEL]), refusal_id="r")
    first, second = strict_json.loads(rendered.body)
    assert rendered.status == 200
    assert (first["id"], first["error"]["message"]) == ("l", "not sent: another message of the batch was refused")
    assert (second["id"], second["error"]["code"], second["error"]["message"]) == (5, -32602, "`name` is not a name")


def test_a_broken_member_without_an_id_leaves_the_others_answered():
    rendered = mcp.undecodable(refused([LIST, {"jsonrpc": "1.0"}]), refusal_id="r")
    (only,) = strict_json.loads(rendered.body)
    assert rendered.status == 400
    assert only["id"] == "l"
    assert only["error"]["message"].startswith("not sent")


def test_what_is_no_batch_at_all_gets_one_error_without_an_id():
    rendered = mcp.undecodable(refused([]), refusal_id="r")
    assert strict_json.loads(rendered.body)["id"] is None


def test_a_refused_batch_is_an_array_with_one_error_for_each_request():
    owed = [Owed(1, "tools/call", "no shells"), Owed("l", "tools/list", mcp_refusals.NOT_SENT)]
    refusal = Refusal(RefusalKind.DENIED, "no shells")
    rendered = mcp_refusals.batch_refusal(refusal, refusal_id="r", owed=owed, protocol_version="2025-03-26")
    assert rendered.status == 200
    assert [(m["id"], m["error"]["code"], m["error"]["message"]) for m in strict_json.loads(rendered.body)] == [
        (1, 4030, "no shells"),
        ("l", 4030, "not sent: another message of the batch was refused"),
    ]


def test_models_read_that_the_tool_calls_of_a_batch_wait():
    owed = [Owed(1, "tools/call"), Owed(2, "resources/read")]
    refusal = Refusal(RefusalKind.HELD, "held for review", ticket="apr-1", link="https://c/apr-1", retry_after=5)
    rendered = mcp_refusals.batch_refusal(refusal, refusal_id="r", owed=owed, protocol_version="2025-03-26")
    call_answer, read_answer = strict_json.loads(rendered.body)
    assert rendered.status == 200
    assert ("Retry-After", "5") in rendered.headers
    assert call_answer["result"]["isError"] is True
    assert "apr-1" in call_answer["result"]["content"][0]["text"]
    assert read_answer["error"]["data"]["ticket"] == "apr-1"


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refusal(RefusalKind.UNAUTHENTICATED, "log in", challenge="Bearer"), 401),
        (Refusal(RefusalKind.DENIED, "more scope", challenge='Bearer error="insufficient_scope"'), 403),
        (Refusal(RefusalKind.NOT_FOUND, "no such session"), 404),
        (Refusal(RefusalKind.UPSTREAM, "down"), 200),
    ],
)
def test_a_status_that_clients_act_on_stands_for_a_batch_too(refusal, status):
    rendered = mcp_refusals.batch_refusal(refusal, refusal_id="r", owed=[Owed(1, "ping")])
    assert rendered.status == status


def test_a_refused_batch_without_requests_is_one_error_with_its_status():
    rendered = mcp_refusals.batch_refusal(Refusal(RefusalKind.DENIED, "no"), refusal_id="r", owed=[])
    assert rendered.status == 403
    assert strict_json.loads(rendered.body)["id"] is None


def test_words_of_its_own_come_with_the_ticket_of_the_refusal():
    refusal = Refusal(RefusalKind.DENIED, "no", ticket="apr-2", retry_after=3)
    owed = [Owed(1, "ping", "not this one")]
    (only,) = strict_json.loads(mcp_refusals.batch_refusal(refusal, refusal_id="r", owed=owed).body)
    assert only["error"]["message"] == "not this one"
    assert only["error"]["data"] == {"refusal": "r", "kind": "denied", "ticket": "apr-2", "retryAfter": 3}
