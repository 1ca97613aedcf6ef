"""Whole bodies as events, for a stream that was begun before they were known."""

import json
from typing import Any

import pytest

from holdpoint.protocols.mcp_events import body_events
from holdpoint.protocols.sse import Parser

RESULT = {"jsonrpc": "2.0", "id": 1, "result": {"a": "b"}}
ERROR: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32601, "message": "no"}}
NAMELESS = {**ERROR, "id": None}


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        pytest.param(RESULT, [RESULT], id="result"),
        pytest.param(ERROR, [ERROR], id="error"),
        pytest.param(NAMELESS, [{**ERROR, "id": 3}], id="error without id"),
        pytest.param([RESULT, ERROR], [RESULT, ERROR], id="batch"),
        pytest.param([RESULT, NAMELESS], [RESULT, {**ERROR, "id": 3}], id="batch with an error without id"),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_each_message_is_an_event(body: Any, messages: list[Any], indent: int | None) -> None:
    events = Parser().feed(body_events(json.dumps(body, indent=indent).encode(), request_id=3))
    assert [json.loads(e.data or "") for e in events] == messages
    assert {e.type for e in events} == {"message"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<h1>error</h1>",
        b'"text"',
        b"[1]",
        b'{"error":"x"}',
        b'{"a":1}',
        b'{"jsonrpc":"2.0"',
        b"\xff",
    ],
)
def test_what_is_no_message_is_no_event(body: bytes) -> None:
    assert body_events(body, request_id=3) == b""
