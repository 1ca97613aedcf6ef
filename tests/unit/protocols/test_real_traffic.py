"""What real clients sent to a real server (conformance suite 0.2.0-alpha.12, Python SDK 2.3; kubernetes-mcp-server)."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdpoint.protocols import mcp, sse, strict_json
from holdpoint.protocols.call import Undecodable

EXCHANGES: list[dict[str, Any]] = [
    json.loads(line)  # the fixture, not the subject
    for line in Path(__file__).with_name("real_traffic.jsonl").read_text(encoding="utf-8").splitlines()
]
REFUSED_BY_FORM = {-32020, -32022, -32601}


def decode(exchange: dict[str, Any]) -> Any:
    headers = [(name.encode(), value.encode()) for name, value in exchange["headers"]]
    return mcp.decode(method=exchange["method"], headers=headers, body=exchange["body"].encode())


def error_code(exchange: dict[str, Any]) -> int | None:
    if exchange["status"] < 400 or not exchange["answer"].startswith("{"):
        return None
    answer: dict[str, Any] = json.loads(exchange["answer"])  # the fixture, not the subject
    return int(answer["error"]["code"])


def is_refused_by_form(exchange: dict[str, Any]) -> bool:
    code = error_code(exchange)
    if code == -32602:
        return "_meta" in exchange["answer"]
    return code in REFUSED_BY_FORM and "unknown/method" not in exchange["body"]


def name(exchange: dict[str, Any]) -> str:
    body = json.loads(exchange["body"] or "{}")  # the fixture, not the subject
    return f"{exchange['from']} {exchange['method']} {body.get('method', 'no method')} {exchange['status']}"


@pytest.mark.parametrize("exchange", [e for e in EXCHANGES if not is_refused_by_form(e)], ids=name)
def test_what_real_clients_send_is_decoded_by_name(exchange):
    call = decode(exchange)
    body = json.loads(exchange["body"] or "{}")  # the fixture, not the subject
    without_body = {"GET": "session/listen", "DELETE": "session/delete", "POST": "response"}[exchange["method"]]
    assert call.action.verb == body.get("method", without_body)
    assert call.request_id == (body.get("id") if "method" in body else None)


@pytest.mark.parametrize("exchange", [e for e in EXCHANGES if is_refused_by_form(e)], ids=name)
def test_what_the_reference_server_refuses_by_form_is_refused_alike(exchange):
    with pytest.raises(Undecodable) as caught:
        decode(exchange)
    body = json.loads(exchange["body"])  # the fixture, not the subject
    assert (caught.value.code, caught.value.status) == (error_code(exchange), exchange["status"])
    assert caught.value.request_id == body["id"]


def test_the_fixture_holds_both_kinds():
    refused = sum(map(is_refused_by_form, EXCHANGES))
    assert refused == 11
    assert len(EXCHANGES) == 73


def asks_of(exchange: dict[str, Any]) -> set[str]:
    if exchange["content_type"].startswith("text/event-stream"):
        texts = [e.data for e in sse.Parser().feed(exchange["answer"].encode()) if e.data]
    else:
        texts = [exchange["answer"]] if exchange["answer"].startswith("{") else []
    return {ask for text in texts for ask in mcp.server_message(strict_json.loads(text.encode())).asks}


def test_every_real_answer_is_a_message_and_says_what_it_asks_for():
    found = {exchange["from"]: set[str]() for exchange in EXCHANGES}
    for exchange in EXCHANGES:
        found[exchange["from"]] |= asks_of(exchange)
    assert found == {
        "mcp-2025-06-18": {"sampling/createMessage", "elicitation/create"},
        "mcp-2025-11-25": {"sampling/createMessage", "elicitation/create"},
        "mcp-2026-07-28": {"sampling/createMessage", "elicitation/create", "roots/list"},
        "kubernetes-mcp-server": set(),
    }
