import pytest

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.jsonrpc import ErrorResponse, Notification, Request, Response, id_key, parse


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"jsonrpc": "2.0", "id": 1, "method": "ping"}, Request(1, "ping", {})),
        ({"jsonrpc": "2.0", "id": "", "method": "x", "params": {"a": 1}}, Request("", "x", {"a": 1})),
        ({"jsonrpc": "2.0", "method": "notifications/x"}, Notification("notifications/x", {})),
        ({"jsonrpc": "2.0", "id": 2**70, "result": {}}, Response(2**70, {})),
        ({"jsonrpc": "2.0", "id": None, "error": {"code": -1, "message": "m"}}, ErrorResponse(None, -1, "m")),
    ],
    ids=["request", "request with params", "notification", "response", "error"],
)
def test_messages_are_told_apart(value, expected):
    assert parse(value) == expected


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        pytest.param({"jsonrpc": "1.0"}, "jsonrpc", id="other version"),
        pytest.param({"jsonrpc": 2.0}, "jsonrpc", id="version as a number"),
        pytest.param({"id": None}, "`id`", id="null id"),
        pytest.param({"id": 1.0}, "`id`", id="float id"),
        pytest.param({"id": True}, "`id`", id="boolean id"),
        pytest.param({"id": [1]}, "`id`", id="array id"),
        pytest.param({"method": 5}, "`method`", id="method is no string"),
        pytest.param({"method": ""}, "`method`", id="empty method"),
        pytest.param({"method": "tools/call "}, "`method`", id="method with a blank"),
        pytest.param({"method": "tools/cåll"}, "`method`", id="method not ASCII"),
        pytest.param({"method": "tools/call\0"}, "`method`", id="method with NUL"),
        pytest.param({"method": "x" * 257}, "`method`", id="endless method"),
        pytest.param({"params": []}, "`params`", id="params by position"),
        pytest.param({"params": None}, "`params`", id="null params"),
        pytest.param({"result": {}}, "both", id="request and response"),
        pytest.param({"error": {}}, "both", id="request and error"),
        pytest.param({"Method": "ping"}, "unknown", id="other case"),
        pytest.param({"extra": 1}, "unknown", id="unknown member"),
    ],
)
def test_an_unclear_request_is_refused(changes, match):
    with pytest.raises(Undecodable, match=match) as caught:
        parse({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}} | changes)
    assert caught.value.code == -32600


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"jsonrpc": "2.0", "id": 1}, id="neither"),
        pytest.param({"jsonrpc": "2.0", "result": {}}, id="no id"),
        pytest.param({"jsonrpc": "2.0", "id": None, "result": {}}, id="null id"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1, "message": ""}}, id="both"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "result": []}, id="result is no object"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "result": {}, "params": {}}, id="with params"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "error": "no"}, id="error is no object"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "error": {"code": "1", "message": ""}}, id="code is no number"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "error": {"code": True, "message": ""}}, id="code is a boolean"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "error": {"code": 1}}, id="no message"),
        pytest.param("ping", id="a string"),
        pytest.param(None, id="null"),
    ],
)
def test_what_is_no_message_is_refused(value):
    with pytest.raises(Undecodable):
        parse(value)


def test_an_array_is_not_a_message():
    with pytest.raises(Undecodable, match="array"):
        parse([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (1, "1", True),
        (2**53, 2**53 + 1, True),
        (-1, "-1", True),
        (10**400, 10**401, True),
        (1, 2, False),
        ("1", "01", False),
        ("a", "A", False),
        (2**53 - 1, 2**53, False),
    ],
)
def test_ids_are_told_apart_as_the_laxest_server_does(one, other, is_same):
    assert (id_key(one) == id_key(other)) is is_same


def test_a_server_may_add_members_that_look_like_nothing_known():
    message = {"jsonrpc": "2.0", "id": 1, "result": {}, "trace": "x"}
    assert parse(message, extra="ignore") == Response(1, {})
    with pytest.raises(Undecodable):
        parse({**message, "re\u017fult": {}}, extra="ignore")
