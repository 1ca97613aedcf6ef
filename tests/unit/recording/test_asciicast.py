import json

import pytest
from mitmproxy.test import tflow, tutils
from mitmproxy.websocket import WebSocketData, WebSocketMessage

from holdpoint.recording import asciicast
from holdpoint.recording.transcript import Message
from holdpoint.recording.tunnel_flows import RecordedTunnel, tunnels

TTY = "/api/v1/namespaces/default/pods/web/exec?command=sh&command=-c&command=ls+-l&tty=true&stdin=true"
PLAIN = TTY.replace("&tty=true", "")
WHO = {"action": "exec", "resource": "pods/exec default/web", "principal": {"person": "alice@example.com"}, "at": 5.0}


def said(channel: int, data: bytes, at: float, *, from_client: bool = False) -> Message:
    return Message(from_client, bytes([channel]) + data, at)


def cast(*messages: Message, path: str = TTY) -> tuple[dict, list[list]]:
    header, *events = map(json.loads, asciicast.lines(RecordedTunnel("ex-1", path, WHO, messages, ended=True)))
    return header, events


def test_the_header_says_size_time_command_and_who():
    header, _ = cast(said(4, b'{"Width":120,"Height":40}', 100.5, from_client=True), said(1, b"hi", 101.0))
    assert header == {
        "version": 2,
        "width": 120,
        "height": 40,
        "timestamp": 100,
        "title": "exec pods/exec default/web by alice@example.com",
        "command": "sh -c 'ls -l'",
        "env": {"TERM": "xterm-256color"},
    }


def test_events_are_output_and_changes_of_size_in_their_time():
    _, events = cast(
        said(4, b'{"Width":80,"Height":24}', 100.0, from_client=True),
        said(1, b"$ ", 100.25),
        said(0, b"sealed", 101.0, from_client=True),
        said(4, b'{"Width":90,"Height":30}', 102.0, from_client=True),
        said(2, b"no\r\n", 103.0),
        said(3, b'{"status":"Success"}', 104.0),
        said(255, b"\0", 104.0, from_client=True),
    )
    assert events == [[0.25, "o", "$ "], [2.0, "r", "90x30"], [3.0, "o", "no\r\n"]]


def test_a_character_that_came_in_two_messages_is_one():
    _, events = cast(said(1, b"\xc3", 1.0), said(1, b"\xa9", 2.0))
    assert events == [[1.0, "o", "é"]]


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([b"a\nb\n"], "a\r\nb\r\n"),
        ([b"a\r\n"], "a\r\n"),
        ([b"a\r", b"\nb\n"], "a\r\nb\r\n"),
        ([b"\n", b"\n"], "\r\n\r\n"),
    ],
)
def test_without_a_terminal_lines_begin_at_the_left(pieces, text):
    _, events = cast(*(said(1, piece, 1.0) for piece in pieces), path=PLAIN)
    assert "".join(e[2] for e in events) == text


def test_time_never_runs_backwards_before_the_beginning():
    _, events = cast(said(1, b"a", 10.0), said(1, b"b", 9.0))
    assert [e[0] for e in events] == [0.0, 0.0]


def test_a_tunnel_without_messages_is_a_header_alone():
    header, events = cast()
    assert (header["width"], header["height"], header["timestamp"], events) == (80, 24, 5, [])


def flow(exchange: str, *data: bytes, piece: int | None = None):
    made = tflow.tflow(req=tutils.treq(path=TTY.encode()), resp=True)
    messages = [WebSocketMessage(2, from_client=False, content=b"\x01" + d, timestamp=1.0) for d in data]
    made.websocket = WebSocketData(messages)
    made.metadata = {"holdpoint": {"exchange": exchange, **({"piece": piece} if piece else {})}}
    return made


def text(tunnel: RecordedTunnel) -> bytes:
    return b"".join(m.content[1:] for m in tunnel.messages)


def test_several_tunnels_of_a_session_are_told_apart():
    found = tunnels([flow("a", b"1"), flow("b", b"2"), tflow.tflow(resp=True)])
    assert [(t.exchange, text(t)) for t in found] == [("a", b"1"), ("b", b"2")]


def test_pieces_hold_more_than_the_record_at_the_end():
    (one,) = tunnels([flow("a", b"1"), flow("a", b"3", piece=2), flow("a", b"1", b"2", piece=1)])
    assert text(one) == b"123"
    assert one.ended


def test_pieces_of_a_killed_gateway_are_what_there_is():
    (one,) = tunnels([flow("a", b"1", piece=1), flow("a", b"2", piece=2)])
    assert text(one) == b"12"
    assert not one.ended
    assert one.command == ("sh", "-c", "ls -l")
    assert one.is_tty
