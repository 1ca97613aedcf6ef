import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.mask_profiles import shipped

from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import compile_masks
from holdpoint.masking.streams import SseMasker
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols.sse import Event, Parser, TooLarge, encode

RECORDED = (Path(__file__).parents[2] / "data" / "masking" / "secret-get.sse").read_bytes()
type Transform = Callable[[JsonValue], JsonValue | None]


def same(value: JsonValue) -> JsonValue:
    return value


def stream(transform: Transform = same) -> SseMasker[Event]:
    return SseMasker(shipped("credentials", "kubernetes-secrets"), transform, parser=Parser(), encode=encode)


def test_recorded_answer_is_masked_and_counted() -> None:
    masker = stream()
    out = masker.feed(RECORDED) + masker.end()
    assert b"UzNjcjN0LW1jcC0wMDA1" in RECORDED
    assert b"UzNjcjN0LW1jcC0wMDA1" not in out
    assert out.startswith(b"event: message\ndata: {")
    assert masker.count == 2


@pytest.mark.threat("T07")
@pytest.mark.failure("F-mask-stream")
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_every_cut_gives_the_same_output(end: bytes) -> None:
    whole = b": hi\n\nid: 1\ndata: " + b'{"id":1,"result":{"password":"x"}}\n\ndata: a\ndata: token: x\n\n: last\n\n'
    whole = whole.replace(b"\n", end)
    expected = stream().feed(whole + b"\n")
    assert expected.count(b"[masked]") == 2
    for cut in range(len(whole)):
        masker = stream()
        assert masker.feed(whole[:cut]) + masker.feed(whole[cut:]) + masker.feed(b"\n") == expected
    masker = stream()
    assert b"".join(masker.feed(bytes((b,))) for b in whole + b"\n") == expected


def test_nothing_passes_before_its_event_is_whole() -> None:
    masker = stream()
    assert masker.feed(b"data: {}") == b""
    assert masker.feed(b"\n") == b""
    assert masker.feed(b"\n") == b"data: {}\n\n"
    assert masker.feed(b"data: cut off") + masker.end() == b""


def test_clean_message_keeps_its_bytes() -> None:
    data = b'data: {"id" : 1, "n":1.10, "e":"\\u003c"}\n\n'
    assert stream().feed(data) == data


def test_transform_sees_each_message_unmasked_and_may_replace_it() -> None:
    seen: list[JsonValue] = []

    def replace(value: JsonValue) -> JsonValue:
        seen.append(value)
        return {"token": "new", "n": 10**30}

    assert (
        stream(replace).feed(b'data: {"token":"old","f":1.5}\n\n') == b'data: {"token":"[masked]","n":%d}\n\n' % 10**30
    )
    assert seen == [{"token": "old", "f": 1.5}]


def test_transform_withholds_an_event_and_the_next_one_passes() -> None:
    masker = stream(lambda value: None if isinstance(value, dict) and "method" in value else value)
    assert masker.feed(b'id: 1\ndata: {"method":"x"}\n\ndata: {"id":2}\n\n') == b'data: {"id":2}\n\n'


def test_transform_runs_without_any_mask_too() -> None:
    masker = SseMasker(compile_masks([], key=bytes(32)), lambda _: None, parser=Parser(), encode=encode)
    assert masker.feed(b"data: {}\n\n") == b""


def test_data_that_is_no_message_is_masked_as_text() -> None:
    assert stream().feed(b"data: hello\ndata: password: x\n\n") == b'data: hello\ndata: password: "[masked]"\n\n'
    assert stream().feed(b'data: "AKIAIOSFODNN7EXAMPLE"\n\n') == b'data: "[masked]"\n\n'
    assert stream().feed(b"id: 5\ndata:\n\n") == b"id: 5\ndata: \n\n"


def test_comment_type_and_id_are_masked_too() -> None:
    key = b"AKIAIOSFODNN7EXAMPLE"
    out = stream().feed(b": " + key + b"\nevent: " + key + b"\nid: " + key + b"\n\n")
    assert key not in out
    assert out.count(b"[masked]") == 3


@pytest.mark.threat("T07")
@pytest.mark.failure("F-mask-stream")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"method":"x","method":"y"}', id="duplicate-key"),
        pytest.param(b'{"a":', id="broken"),
        pytest.param(b"[NaN]", id="nan"),
        pytest.param(b"[" * 200 + b"]" * 200, id="deep"),
    ],
)
def test_error_is_raised_once_and_nothing_passes_ever_after(data: bytes) -> None:
    masker = stream()
    with pytest.raises(Unmaskable):
        masker.feed(b"data: {}\n\ndata: " + data + b"\n\n")
    assert masker.feed(b"data: {}\n\n") == b""
    assert masker.end() == b""


def test_error_of_the_transform_or_parser_latches_as_well() -> None:
    def fail(value: JsonValue) -> JsonValue:
        raise KeyError(json.dumps(value))

    masker = stream(fail)
    with pytest.raises(KeyError):
        masker.feed(b"data: {}\n\n")
    assert masker.feed(b"data: x\n\n") == b""
    small = SseMasker(shipped("credentials"), same, parser=Parser(max_event_bytes=8), encode=encode)
    with pytest.raises(TooLarge):
        small.feed(b"data: longer than eight\n\n")
    assert small.feed(b"data: x\n\n") == b""
