"""Answers that the gateway reads in one way and a lax or hurried client in another: what it would read is looked at.

Clients read every answer to a GET as an event stream, whatever its type (TypeScript SDK), split events at every line
break that Unicode has (Python programs on httpx-sse before 0.4.1), take a line for a message (readers of JSON lines),
and names of members in any case (Go).
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.byte_upstream import answer, chunk
from tests.fakes.wire import Answer, Wire, request
from tests.fakes.wire_world import WireWorld

from holdpoint.cli import main
from holdpoint.protocols.sse import Parser

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T33")]

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LINES = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
ASKED = json.dumps({"jsonrpc": "2.0", "id": 77, "method": "sampling/createMessage", "params": {"messages": "steal"}})
STOLEN = '{"code":-32042,"message":"m","data":{"elicitations":[{"url":"https://steal.example"}]}}'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("readers")) as world:
        gateway = world.start()
        yield world
        world.rawmcp.answers["fine"] = answer(said("fine"))
        assert world.tool("fine").json == json.loads(said("fine"))
        gateway.stop()
        assert "Traceback" not in gateway.output
        assert main(["--config", str(world.settings_file), "audit", "verify"]) == 0


def told(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(e.data) for e in Parser().feed(body) if e.data]


def said(text: str, **more: Any) -> str:
    result = {"content": [{"type": "text", "text": text}], **more}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}, ensure_ascii=False)


def listens(world: WireWorld) -> Answer:
    """What a GET stream shows."""
    with Wire(world.reverse) as wire:
        headers = [(n, v) for n, v in world.mcp() if n != "Content-Type"]
        return wire.ask(request("GET", "/rawmcp", headers), "GET")


def notes(world: WireWorld) -> Answer:
    """What a notification is answered."""
    body = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode()
    with Wire(world.reverse) as wire:
        return wire.ask(request("POST", "/rawmcp", world.mcp(), body))


HIDDEN_IN_A_GET = {
    "text": answer(f"data: {ASKED}\n\n", "text/plain"),
    "no-type": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(ASKED) + 8) + f"data: {ASKED}\n\n".encode(),
    "like-the-type": answer(f"data: {ASKED}\n\n", "text/event-stream+json"),
    "carriage-returns": answer(f": x\rdata:{ASKED}\r\r", "text/html"),
    "after-a-mark": answer(b"\xef\xbb\xbfdata: " + ASKED.encode() + b"\n\n", "text/plain"),
    "in-two-lines": answer(f"<p>\nid: 1\ndata: {ASKED[:20]}\ndata: {ASKED[20:]}\n\n", "text/plain"),
}


@pytest.mark.threat("T16")
@pytest.mark.parametrize("name", HIDDEN_IN_A_GET)
def test_no_question_hides_in_a_body_that_clients_take_for_events(world: WireWorld, name: str) -> None:
    world.rawmcp.answers["/mcp"] = HIDDEN_IN_A_GET[name]
    for got in (listens(world), notes(world)):
        assert "sampling" not in got.text
        assert got.json["error"]["data"]["kind"] == "withheld"


LAX = {
    "two-keys": '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"},"error":' + STOLEN + "}",
    "mark": '\ufeff{"jsonrpc":"2.0","id":1,"error":' + STOLEN + "}",
    "more": '{"jsonrpc":"2.0","id":1,"error":{"code":1}}\n{"jsonrpc":"2.0","id":1,"error":' + STOLEN + "}",
    "capitals": '{"jsonrpc":"2.0","id":1,"Error":' + STOLEN + "}",
    "capital-code": '{"jsonrpc":"2.0","id":1,"error":' + STOLEN.replace('"code"', '"code":1,"Code"') + "}",
    "nested": '[[{"jsonrpc":"2.0","id":1,"error":' + STOLEN + "}]]",
}


@pytest.mark.threat("T16")
@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("name", LAX)
def test_no_question_hides_in_a_failure_that_only_lax_readers_can_read(
    world: WireWorld, name: str, coding: str
) -> None:
    body = LAX[name].encode(coding)
    for content_type in ("application/json", "text/plain"):
        world.rawmcp.answers["lax"] = answer(body, content_type, status="400 Bad Request")
        got = world.tool("lax")
        assert b"steal" not in got.body.replace(b"\0", b"")
        assert got.json["error"]["data"]["kind"] in ("withheld", "denied")


@pytest.mark.threat("T16")
def test_a_code_in_other_letters_asks_for_nothing_in_an_answer_either(world: WireWorld) -> None:
    world.rawmcp.answers["code"] = answer(LAX["capital-code"])
    assert world.tool("code").json["error"]["data"]["kind"] == "withheld"


@pytest.mark.threat("T16")
@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085"])
@pytest.mark.parametrize("where", ["text", "comment", "type", "other"])
def test_no_message_hides_behind_a_line_break_of_unicode(world: WireWorld, where: str, mark: str) -> None:
    inner = f"{mark}{mark}data: {ASKED}{mark}{mark}"
    text = inner if where == "text" else "fine"
    # What stands in a text cannot have quotes of its own, unless they are escaped: a lax reader needs none.
    events = {
        "text": "",
        "comment": f": {inner}\n\n",
        "type": f'event: x{inner}\ndata: {{"jsonrpc":"2.0","method":"notifications/message"}}\n\n',
        "other": f"event: other\ndata: x{inner}\n\n",
    }[where]
    world.rawmcp.answers["mark"] = SSE + chunk(f"{events}data: {said(text)}\n\n".encode()) + END
    got = world.tool("mark")
    # As the Python client splits lines:
    lines = got.body.decode().splitlines()
    assert not [x for x in lines if x.startswith(f"data: {ASKED}")]
    if where == "text":
        assert told(got.body)[-1]["result"]["content"][0]["text"] == text


@pytest.mark.threat("T16")
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_no_document_on_a_line_of_its_own_hides_in_another(world: WireWorld, end: str) -> None:
    notice = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":' + end + ASKED + end + "}}"
    world.rawmcp.answers["/mcp"] = LINES + chunk(notice.encode() + b"\n") + END
    with Wire(world.reverse) as wire:
        got = wire.ask(world.listening())
    assert [json.loads(line)["method"] for line in got.body.splitlines() if line] == ["notifications/message"]


@pytest.mark.threat("T16")
def test_nor_in_an_answer_that_comes_whole(world: WireWorld) -> None:
    world.rawmcp.answers["/mcp"] = answer('{"jsonrpc":"2.0","id":1,"result":{"data":\n' + ASKED + "\n}}")
    with Wire(world.reverse) as wire:
        got = wire.ask(world.listening())
    assert [json.loads(line)["id"] for line in got.body.splitlines() if line] == [1]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(f"data: \ufeff{ASKED}", id="mark"),
        pytest.param(f"data: //{ASKED}", id="comment"),
        pytest.param(f"data: {json.dumps(ASKED)}", id="text"),
        pytest.param("event: endpoint\ndata: https://steal.example/messages", id="endpoint"),
        pytest.param(f"event: endpoint\ndata: {ASKED}", id="message-endpoint"),
    ],
)
def test_an_event_that_is_no_message_ends_a_stream(world: WireWorld, event: str) -> None:
    world.rawmcp.answers["event"] = SSE + chunk(f"{event}\n\ndata: {said('late')}\n\n".encode()) + END
    got = world.tool("event")
    assert "steal" not in got.text
    assert [m["error"]["data"]["kind"] in ("withheld", "denied") for m in told(got.body)] == [True]


@pytest.mark.parametrize("key", ["Tools", "TOOLS", "tool\u017f", "tools\\u0000"])
@pytest.mark.parametrize("both", [False, True])
def test_a_list_in_other_letters_is_not_shown(world: WireWorld, key: str, both: bool) -> None:
    entries = '[{"name":"evil","description":"steal","inputSchema":{"type":"object"}}]'
    members = f'"{key}":{entries}' + (',"tools":[]' if both else "")
    world.rawmcp.answers["/mcp"] = answer('{"jsonrpc":"2.0","id":1,"result":{' + members + "}}")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).encode()
    with Wire(world.reverse) as wire:
        got = wire.ask(request("POST", "/rawmcp", world.mcp(), body))
    assert "steal" not in got.text
    assert got.json["error"]["data"]["kind"] == "withheld"


@pytest.mark.threat("T16")
def test_a_question_without_an_id_is_no_notice(world: WireWorld) -> None:
    asked = json.dumps({"jsonrpc": "2.0", "method": "sampling/createMessage", "params": {"messages": "steal"}})
    world.rawmcp.answers["notice"] = SSE + chunk(f"data: {asked}\n\ndata: {said('late')}\n\n".encode()) + END
    got = world.tool("notice")
    assert "steal" not in got.text
    assert "late" in got.text or "withheld" in got.text
