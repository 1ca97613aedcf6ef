"""The traffic of MCP's conformance suite, in three versions: what the gateway makes of every message, either way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.mask_profiles import shipped

from holdpoint.protocols import mcp, sse, strict_json
from holdpoint.protocols.call import Call, Undecodable

CORPUS = Path(__file__).parents[2] / "data" / "mcp"
"""tests/data/mcp/from_flows.py says where these files come from, and what a line is."""
VERSIONS = ("2025-06-18", "2025-11-25", "2026-07-28")
INVALID_PARAMS = -32602
WITHOUT_BODY = {"GET": "session/listen", "DELETE": "session/delete", "POST": "response"}


def exchanges(version: str) -> list[dict[str, Any]]:
    lines = (CORPUS / f"{version}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]  # the fixture, not the subject


def decode(exchange: dict[str, Any]) -> Call | Undecodable:
    headers = [(name.encode(), value.encode()) for name, value in exchange["headers"]]
    try:
        return mcp.decode(method=exchange["method"], headers=headers, body=exchange["body"].encode())
    except Undecodable as error:
        return error


def sent(exchange: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(exchange["body"] or "{}")  # the fixture, not the subject
    return message


def messages(exchange: dict[str, Any]) -> Iterator[str]:
    """The JSON texts of an answer."""
    if exchange["content_type"].startswith("text/event-stream"):
        parser = sse.Parser()
        events = [*parser.feed(exchange["answer"].encode()), *parser.end()]
        yield from (event.data for event in events if event.data)
    elif exchange["content_type"].startswith("application/json") and exchange["answer"]:
        yield exchange["answer"]


@pytest.mark.parametrize(("version", "refused"), [("2025-06-18", 0), ("2025-11-25", 0), ("2026-07-28", 17)])
def test_every_message_of_the_client_is_decoded_or_refused_as_the_reference_server_refuses_it(
    version: str, refused: int
) -> None:
    refusals = 0
    for exchange in exchanges(version):
        made = decode(exchange)
        if isinstance(made, Undecodable) and '"inputResponses":null' in exchange["body"]:
            # The SDK reads null as nothing; the schema has no null there, and another server might read it otherwise.
            assert made.code == INVALID_PARAMS
        elif isinstance(made, Undecodable):
            answer = json.loads(exchange["answer"])  # the fixture, not the subject
            assert (made.code, made.status) == (answer["error"]["code"], exchange["status"]), exchange
            refusals += 1
        else:
            assert made.action.verb == sent(exchange).get("method", WITHOUT_BODY[exchange["method"]])
    assert refusals == refused


ASKED = {
    "2025-06-18": {"sampling/createMessage", "elicitation/create"},
    "2025-11-25": {"sampling/createMessage", "elicitation/create"},
    "2026-07-28": {"sampling/createMessage", "elicitation/create", "roots/list"},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_of_the_server_is_understood_and_no_question_is_overlooked(version: str) -> None:
    texts = [text for exchange in exchanges(version) for text in messages(exchange)]
    assert len(texts) > 30
    asks = [mcp.server_message(strict_json.loads(text.encode())).asks for text in texts]
    for text, found in zip(texts, asks, strict=True):
        assert len(found) == sum(text.count(f'"method":"{method}"') for method in ASKED[version])
    assert {ask for found in asks for ask in found} == ASKED[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shipped_masks_find_nothing_in_it_but_a_picture_that_says_it_is_text(version: str) -> None:
    masker = shipped()
    for exchange in exchanges(version):
        for text in messages(exchange):
            message = strict_json.loads(text.encode())
            masked = masker.mcp(message)
            expected = text.count('"mimeType":"text/plain","uri":"test://static-binary"') * text.count('"blob"')
            assert masked.count == expected, text
            assert (masked.value == message) is (expected == 0)
