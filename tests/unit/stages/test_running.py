"""Requests under way end when what allowed them is taken back."""

import pytest
from tests.fakes.approvals import principal

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.running import Running, Sent, refuse_over

pytestmark = pytest.mark.threat("T88")

REFUSAL = Refusal(RefusalKind.DENIED, "taken back")


def sent(name: str, told: list[str] | None = None, *, approval: str = "") -> Sent:
    def end(_why: Refusal) -> None:
        if told is None:
            raise RuntimeError("it cannot be ended")
        told.append(name)

    return Sent(Exchange(name), principal(), approval, end)


def test_one_that_cannot_be_ended_keeps_nobody_else_alive_and_lets_nothing_pass() -> None:
    running, told = Running(), list[str]()
    stuck, other = sent("stuck"), sent("other", told)
    running.add(stuck)
    running.add(other)
    assert running.end_where(lambda _: True, REFUSAL) == 2
    assert told == ["other"]
    for one in (stuck, other):
        with pytest.raises(Refusal, match="taken back"):
            refuse_over(one.exchange)


def test_one_that_ended_is_not_ended_again() -> None:
    running, told = Running(), list[str]()
    running.add(sent("a", told))
    running.end_where(lambda _: True, REFUSAL)
    assert running.end_where(lambda _: True, REFUSAL) == 0
    running.remove(Exchange("a"))
    assert (len(running), told) == (0, ["a"])


def test_grant_that_ended_bars_streams_and_no_answer_that_is_whole() -> None:
    running = Running()
    one, other = sent("a", [], approval="apr-1"), sent("b", [], approval="apr-2")
    running.add(one)
    running.add(other)
    running.bar_streams("apr-1", REFUSAL)
    refuse_over(one.exchange)
    refuse_over(other.exchange, streams=True)
    with pytest.raises(Refusal, match="taken back"):
        refuse_over(one.exchange, streams=True)
