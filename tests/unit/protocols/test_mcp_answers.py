import pytest

from holdpoint.protocols import mcp
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.jsonrpc import ErrorResponse, Notification, Request, Response
from holdpoint.protocols.mcp_answers import tasks_created


def answer(**result):
    return {"jsonrpc": "2.0", "id": 1, "result": result}


@pytest.mark.parametrize(
    ("value", "kind", "asks"),
    [
        pytest.param(answer(tools=[]), Response, (), id="plain answer"),
        pytest.param(
            {"jsonrpc": "2.0", "id": 0, "method": "sampling/createMessage", "params": {}},
            Request,
            ("sampling/createMessage",),
            id="request of the server",
        ),
        pytest.param({"jsonrpc": "2.0", "method": "notifications/progress"}, Notification, (), id="notification"),
        pytest.param(
            {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}, ErrorResponse, (), id="error"
        ),
        pytest.param(
            answer(
                resultType="input_required",
                inputRequests={"a": {"method": "elicitation/create"}, "b": {"method": "roots/list"}},
            ),
            Response,
            ("elicitation/create", "roots/list"),
            id="hidden in a result",
        ),
        pytest.param(
            answer(inputRequests={"a": {"method": "sampling/createMessage"}}),
            Response,
            ("sampling/createMessage",),
            id="hidden in a result of another type",
        ),
        pytest.param(
            {
                "jsonrpc": "2.0",
                "method": "notifications/tasks/status",
                "params": {"inputRequests": {"a": {"method": "elicitation/create"}}},
            },
            Notification,
            ("elicitation/create",),
            id="hidden in a notification",
        ),
        pytest.param(
            {"jsonrpc": "2.0", "id": 1, "error": {"code": -32042, "message": "x", "data": {"elicitations": []}}},
            ErrorResponse,
            ("elicitation/create",),
            id="demanded by an error",
        ),
        pytest.param(
            answer(result={"inputRequests": {"a": {"method": "roots/list"}}}),
            Response,
            ("roots/list",),
            id="hidden in what a task came to",
        ),
        pytest.param(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "error": {"code": -32042, "message": "x", "data": {"elicitations": [{"url": "a"}, {"url": "b"}]}},
            },
            ErrorResponse,
            ("elicitation/create", "elicitation/create"),
            id="demanded twice",
        ),
    ],
)
def test_what_a_server_says_and_asks(value, kind, asks):
    message = mcp.server_message(value)
    assert isinstance(message.message, kind)
    assert message.asks == asks


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(answer(inputRequests=[{"method": "roots/list"}]), id="a list of input requests"),
        pytest.param(answer(inputRequests={"a": "roots/list"}), id="an input request that is no object"),
        pytest.param(answer(inputRequests={"a": {}}), id="an input request without a method"),
        pytest.param(answer(inputrequests={"a": {"method": "roots/list"}}), id="input requests in another case"),
        pytest.param(answer(**{"requestState\u200b": "s"}), id="a state with something invisible"),
        pytest.param(answer(inputRequests={"a": {"method": "x y"}}), id="a method that is no name"),
        pytest.param([answer()], id="a batch"),
        pytest.param({"jsonrpc": "2.0", "id": 1, "method": "roots/list", "result": {}}, id="request and answer"),
        pytest.param({**answer(), "Method": "roots/list"}, id="a member in another case"),
        pytest.param("text", id="no object"),
    ],
)
def test_an_unclear_message_of_the_server_is_refused(value):
    with pytest.raises(Undecodable):
        mcp.server_message(value)


@pytest.mark.parametrize(
    ("result", "ids"),
    [
        pytest.param({"task": {"taskId": "t"}}, ("t",), id="2025-11-25"),
        pytest.param({"resultType": "task", "taskId": "t"}, ("t",), id="extension"),
        pytest.param({"resultType": "complete", "taskId": "t"}, (), id="a task that is polled"),
        pytest.param({"task": {"taskId": 1}, "resultType": "task"}, (), id="no text"),
        pytest.param({"task": "t"}, (), id="no object"),
    ],
)
def test_tasks_that_a_result_hands_out(result, ids):
    assert tasks_created(result) == ids
