import json

import pytest
from mitmproxy.test import tflow, tutils
from mitmproxy.websocket import WebSocketData

from holdpoint.recording.json_text import read
from holdpoint.recording.replay import NOT_RECORDED, Replayer
from holdpoint.recording.replay_match import text_fits, value_fits

SEALED = "[sealed:" + "0" * 64 + "]"


def rpc(method, request_id=1, token=None, **params):
    if token is not None:
        params["_meta"] = {"progressToken": token}
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if request_id is None else {**message, "id": request_id}


def request(message, *, method=b"POST", path=b"/mcp"):
    content = b"" if message is None else json.dumps(message).encode()
    return tutils.treq(method=method, path=path, content=content)


def recorded(message, answer, *, kind=b"application/json", status=200, **more):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    response = tutils.tresp(content=body, status_code=status, headers=((b"content-type", kind),))
    return tflow.tflow(req=request(message, **more), resp=response)


def result(text, request_id=1):
    return {"jsonrpc": "2.0", "id": request_id, "result": {"text": text}}


def answer(replayer, message, **more):
    return replayer.answer(request(message, **more)).json()


@pytest.mark.parametrize(
    ("recording", "given", "fitting"),
    [
        pytest.param("a", "a", True, id="same text"),
        pytest.param("a", "b", False, id="other text"),
        pytest.param("[masked]", "secret", True, id="redacted"),
        pytest.param("[masked:last4:9876]", "12349876", True, id="partial"),
        pytest.param("[masked:hmac:0123456789abcdef]", "x", True, id="hashed"),
        pytest.param("[masked: no]", "x", False, id="no mark"),
        pytest.param(SEALED, 12, True, id="sealed number"),
        pytest.param(SEALED, {"a": 1}, True, id="sealed object"),
        pytest.param("key [masked] end", "key 123 end", True, id="mark inside text"),
        pytest.param("key [masked] end", "key 123 END", False, id="mark inside other text"),
        pytest.param("a.*[masked]", "abc", False, id="text is no pattern"),
        pytest.param({"a": "[masked]", "b": 1}, {"b": 1, "a": "x"}, True, id="object"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, False, id="more members"),
        pytest.param([1, "[masked]"], [1, "x"], True, id="list"),
        pytest.param([1], [1, 2], False, id="longer list"),
        pytest.param(1, True, False, id="number is no truth value"),
        pytest.param(1, 1.0, False, id="integer is no float"),
        pytest.param(None, None, True, id="null"),
    ],
)
def test_masks_of_the_recording_stand_for_any_value(recording, given, fitting):
    assert value_fits(recording, given) is fitting


def test_mark_stands_for_text_over_lines():
    assert text_fits("a [masked] z", "a b\nc z")


def test_answer_carries_the_id_of_the_new_request():
    replayer = Replayer([recorded(rpc("tools/call", 7, name="read"), result("hello", 7))])
    assert answer(replayer, rpc("tools/call", "new", name="read")) == result("hello", "new")


def test_answer_is_found_by_arguments_whose_values_were_sealed():
    replayer = Replayer(
        [
            recorded(rpc("tools/call", 1, name="login", arguments={"user": "a", "password": SEALED}), result("a", 1)),
            recorded(rpc("tools/call", 2, name="login", arguments={"user": "b", "password": SEALED}), result("b", 2)),
        ]
    )
    given = rpc("tools/call", 9, name="login", arguments={"user": "b", "password": "swordfish"})
    assert answer(replayer, given) == result("b", 9)


def test_equal_requests_are_answered_in_their_order_and_the_last_one_again():
    replayer = Replayer([recorded(rpc("tools/list", n), result(str(n), n)) for n in (1, 2)])
    texts = [answer(replayer, rpc("tools/list", 5))["result"]["text"] for _ in range(4)]
    assert texts == ["1", "2", "2", "2"]


def test_events_carry_the_new_id_and_progress_token():
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 3, "progress": 1}}
    stream = b"".join(b"event: message\ndata: %b\n\n" % json.dumps(m).encode() for m in (progress, result("x", 3)))
    replayer = Replayer([recorded(rpc("tools/call", 3, 3), stream, kind=b"text/event-stream")])
    response = replayer.answer(request(rpc("tools/call", 8, "tok")))
    data = [read(line[6:]) for line in response.content.splitlines() if line.startswith(b"data: ")]
    assert data[0]["params"]["progressToken"] == "tok"
    assert data[1]["id"] == 8


def test_id_of_a_request_that_the_server_makes_is_left_alone():
    asks = {"jsonrpc": "2.0", "id": 3, "method": "sampling/createMessage", "params": {}}
    stream = b"data: %b\n\n" % json.dumps(asks).encode()
    replayer = Replayer([recorded(rpc("tools/call", 3), stream, kind=b"text/event-stream")])
    assert b'"id":3' in replayer.answer(request(rpc("tools/call", 8))).content


def test_request_state_of_a_held_call_does_not_count():
    replayer = Replayer(
        [
            recorded(rpc("tools/call", 1, name="x"), result("held", 1)),
            recorded(rpc("tools/call", 2, name="x", requestState=SEALED), result("done", 2)),
        ]
    )
    assert answer(replayer, rpc("tools/call", 5, name="x"))["result"]["text"] == "held"
    assert answer(replayer, rpc("tools/call", 6, name="x", requestState="ticket"))["result"]["text"] == "done"


def test_batch_is_answered_with_the_new_ids():
    replayer = Replayer([recorded([rpc("a", 1), rpc("b", 2)], [result("a", 1), result("b", 2)])])
    assert [m["id"] for m in answer(replayer, [rpc("a", 11), rpc("b", 12)])] == [11, 12]


def test_request_that_was_not_recorded_is_told_so_in_its_own_protocol():
    replayer = Replayer([recorded(rpc("tools/list"), result("x"))])
    said = answer(replayer, rpc("tools/call", 4, name="other"))
    assert (said["id"], said["error"]["code"]) == (4, NOT_RECORDED)


@pytest.mark.parametrize(
    ("message", "method", "status"),
    [
        pytest.param(rpc("notifications/initialized", None), b"POST", 202, id="notification"),
        pytest.param(None, b"GET", 405, id="event stream"),
        pytest.param(None, b"DELETE", 200, id="end of session"),
    ],
)
def test_what_mcp_clients_send_beside_calls_is_answered_without_a_recording(message, method, status):
    replayer = Replayer([recorded(rpc("tools/list"), result("x"))])
    assert replayer.answer(request(message, method=method)).status_code == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param(b"/v1/things?page=2&access_token=zzz", 200, id="other token"),
        pytest.param(b"/things?page=2&access_token=zzz", 200, id="without the prefix"),
        pytest.param(b"/api/v1/things?page=2&access_token=zzz", 200, id="with another prefix"),
        pytest.param(b"/v1/things?page=3&access_token=zzz", 404, id="other page"),
        pytest.param(b"/v1/other?page=2&access_token=zzz", 404, id="other path"),
    ],
)
def test_plain_http_is_matched_by_path_and_query_without_credentials(path, status):
    before = b"/v1/things?page=2&access_token=%5Bmasked%5D"
    replayer = Replayer([recorded(None, b"{}", method=b"GET", path=before)])
    assert replayer.answer(request(None, method=b"GET", path=path)).status_code == status


def test_exchange_without_an_answer_is_not_replayed():
    assert len(Replayer([tflow.tflow()])) == 0


def kubernetes(path, *, body=b"{}", code=200, piece=False):
    made = tflow.tflow(req=tutils.treq(method=b"GET", path=path), resp=tutils.tresp(status_code=code, content=body))
    if piece:
        made.websocket = WebSocketData()
    return made


def test_a_recorded_cluster_answers_what_was_read_and_a_status_for_the_rest():
    pods = b"/api/v1/namespaces/default/pods"
    replayer = Replayer([kubernetes(pods, body=b'{"kind":"PodList"}')])
    assert replayer.answer(kubernetes(b"/k8s/prod" + pods).request).content == b'{"kind":"PodList"}'
    missing = replayer.answer(kubernetes(b"/api/v1/namespaces/default/secrets").request)
    assert missing.status_code == 404
    assert json.loads(missing.content)["reason"] == "NotFound"


@pytest.mark.parametrize("piece", [True, False])
def test_upgraded_connections_and_their_pieces_are_no_answers(piece):
    path = b"/api/v1/namespaces/default/pods/web/exec?command=sh"
    replayer = Replayer([kubernetes(path, code=101, piece=piece)])
    assert len(replayer) == 0
    assert replayer.answer(kubernetes(path).request).status_code == 404
