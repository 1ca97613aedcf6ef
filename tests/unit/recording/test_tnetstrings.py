"""The same bytes as mitmproxy writes, whatever the value."""

from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.io import tnetstring
from mitmproxy.test import tflow

from holdpoint.recording.tnetstrings import dumps


class Word(StrEnum):
    A = "a"


class Number(IntEnum):
    ONE = 1


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.binary()
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below) | st.lists(below).map(tuple) | st.dictionaries(SCALARS, below),
    max_leaves=30,
)


@given(VALUES)
def test_every_value_is_written_as_mitmproxy_writes_it(value: object) -> None:
    assert dumps(value) == tnetstring.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Word.A, id="enum of texts"),
        pytest.param({Word.A: Word.A}, id="enum of texts as a name"),
        pytest.param(Number.ONE, id="enum of numbers"),
        pytest.param([True, 1, 1.0, "1", b"1"], id="equal values of several types"),
        pytest.param({1: "a", "1": "b", b"1": "c"}, id="names of several types"),
    ],
)
def test_a_subclass_is_written_as_what_it_is(value: object) -> None:
    assert dumps(value) == tnetstring.dumps(value)


@pytest.mark.parametrize("response", [True, False])
def test_a_flow_is_written_as_mitmproxy_writes_it(*, response: bool) -> None:
    state = tflow.tflow(resp=response).get_state()
    assert dumps(state) == tnetstring.dumps(state)


@pytest.mark.parametrize("value", [bytearray(b"x"), {1, 2}, object(), {"a": [object()]}, memoryview(b"x")])
def test_what_the_format_does_not_know_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a flow record cannot hold"):
        dumps(value)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        dumps({"a": "\ud800"})
