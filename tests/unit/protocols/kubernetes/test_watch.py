"""Events of a watch come out whole and one by one, however their bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols.kubernetes import status
from holdpoint.protocols.kubernetes.watch import NotEvents, Splitter, error_event
from holdpoint.protocols.sse import TooLarge

pytestmark = [pytest.mark.threat("T45")]

FIRST = b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a\\"}{"}}}'
SECOND = b'{"type":"BOOKMARK","object":{"spec":[[],{}]}}'


def split(*chunks: bytes, limit: int = 1 << 20) -> list[bytes]:
    splitter = Splitter(limit)
    found = [event for chunk in chunks for event in splitter.feed(chunk)]
    return [*found, *splitter.end()]


@pytest.mark.parametrize("between", [b"\n", b"", b"\r\n ", b"\n\n"])
def test_every_cut_gives_the_same_events(between: bytes) -> None:
    data = FIRST + between + SECOND + between
    for first in range(len(data) + 1):
        for second in (first, (first + len(data)) // 2):
            assert split(data[:first], data[first:second], data[second:]) == [FIRST, SECOND]


@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_cuts_give_the_same_events(cuts: list[int]) -> None:
    data = (FIRST + b"\n" + SECOND) * 2
    at = sorted({0, *(c % len(data) for c in cuts), len(data)})
    assert split(*(data[a:b] for a, b in pairwise(at))) == [FIRST, SECOND] * 2


def test_event_comes_out_as_soon_as_it_is_whole() -> None:
    splitter = Splitter(1000)
    assert splitter.feed(FIRST[:-1]) == []
    assert splitter.feed(FIRST[-1:]) == [FIRST]


@pytest.mark.parametrize("data", [b"[1]", b"x", b'"a"', FIRST + b"," + SECOND], ids=["array", "word", "text", "comma"])
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(NotEvents):
        split(data)


def test_end_within_an_event_is_told() -> None:
    with pytest.raises(NotEvents):
        split(FIRST + b"\n" + SECOND[:-2])


def test_event_over_the_limit_is_refused_before_it_is_whole() -> None:
    splitter = Splitter(100)
    with pytest.raises(TooLarge):
        splitter.feed(b'{"type":"ADDED","object":{"a":"' + b"x" * 100)


def test_error_event_is_what_clients_decode() -> None:
    said = status.document(Refusal(RefusalKind.EXPIRED, "policy has changed"), refusal_id="ex_1")
    found = error_event(said, code=410)["object"]
    assert isinstance(found, dict)
    assert (found["kind"], found["code"], found["reason"]) == ("Status", 410, "Expired")
    assert found["message"] == "holdpoint: policy has changed [ex_1]"
