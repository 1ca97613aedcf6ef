"""Calls are counted exactly: no minute and no session holds more than a rule allows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.domain.decision import Charge, Rate, RuleRef
from holdpoint.limits import MINUTE, Caller, RateLimiter

RULE = RuleRef("p", "r")
ALICE = Caller("issuer#alice", "", "demo", "ses-1")


def per_minute(calls: int, *, by_tool: bool = True) -> Rate:
    return Rate(RULE, calls, "minute", by_tool)


def per_session(calls: int) -> Rate:
    return Rate(RULE, calls, "session")


def charged(rates: list[Rate], *names: str) -> list[Charge]:
    """What calls of these names take of each rate, as the engine counts."""
    return [
        Charge(rate, name, names.count(name) if rate.by_tool else len(names))
        for rate in rates
        for name in (dict.fromkeys(names) if rate.by_tool else [""])
    ]


def test_calls_up_to_the_limit_pass_and_the_next_is_told_when_it_may() -> None:
    limiter = RateLimiter()
    assert [limiter.take(charged([per_minute(2)], "tool a"), ALICE, at) for at in (0.0, 10.0)] == [0.0, 0.0]
    assert limiter.take(charged([per_minute(2)], "tool a"), ALICE, 20.0) == 40.0
    assert limiter.take(charged([per_minute(2)], "tool a"), ALICE, 60.0) == 0.0


def test_a_refused_call_does_not_count() -> None:
    limiter = RateLimiter()
    limiter.take(charged([per_minute(1)], "tool a"), ALICE, 0.0)
    for at in range(1, 60):
        assert limiter.take(charged([per_minute(1)], "tool a"), ALICE, float(at)) > 0
    assert limiter.take(charged([per_minute(1)], "tool a"), ALICE, 60.0) == 0.0


def test_asking_counts_nothing() -> None:
    limiter = RateLimiter()
    for _ in range(5):
        assert limiter.wait(charged([per_minute(1)], "tool a"), ALICE, 0.0) == 0.0
    assert limiter.take(charged([per_minute(1)], "tool a"), ALICE, 0.0) == 0.0
    assert limiter.wait(charged([per_minute(1)], "tool a"), ALICE, 0.0) == MINUTE


def test_a_session_never_gets_more_and_another_session_begins_anew() -> None:
    limiter = RateLimiter()
    assert limiter.take(charged([per_session(1)], "tool a"), ALICE, 0.0) == 0.0
    assert limiter.take(charged([per_session(1)], "tool a"), ALICE, 9_999.0) == math.inf
    other = Caller("issuer#alice", "", "demo", "ses-2")
    assert limiter.take(charged([per_session(1)], "tool a"), other, 0.0) == 0.0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Caller("issuer#bob", "", "demo", "ses-1"), id="another principal"),
        pytest.param(Caller("issuer#alice", "0:#agent", "demo", "ses-1"), id="an agent of the same person"),
        pytest.param(Caller("issuer#alice", "", "files", "ses-1"), id="another target"),
    ],
)
def test_callers_do_not_use_up_what_others_have(other: Caller) -> None:
    limiter = RateLimiter()
    assert limiter.take(charged([per_minute(1)], "tool a"), ALICE, 0.0) == 0.0
    assert limiter.take(charged([per_minute(1)], "tool a"), other, 0.0) == 0.0


def test_tools_are_counted_apart_unless_the_rule_counts_them_together() -> None:
    limiter = RateLimiter()
    assert limiter.take(charged([per_minute(1)], "tool a"), ALICE, 0.0) == 0.0
    assert limiter.take(charged([per_minute(1)], "tool b"), ALICE, 0.0) == 0.0
    together = [per_minute(1, by_tool=False)]
    assert limiter.take(charged(together, "tool a"), ALICE, 0.0) == 0.0
    assert limiter.take(charged(together, "tool b"), ALICE, 0.0) == MINUTE


def test_the_strictest_of_several_limits_counts_and_none_is_charged_for_a_refusal() -> None:
    limiter = RateLimiter()
    both = [per_minute(1), Rate(RuleRef("p", "wide"), 100, "minute")]
    limiter.take(charged(both, "tool a"), ALICE, 0.0)
    assert limiter.take(charged(both, "tool a"), ALICE, 1.0) == 59.0
    assert limiter.take(charged([both[1]], *["tool a"] * 99), ALICE, 1.0) == 0.0


def test_a_batch_is_as_many_calls_as_it_has_members_and_too_large_a_one_never_passes() -> None:
    limiter = RateLimiter()
    assert limiter.take(charged([per_minute(3)], *["tool a"] * 4), ALICE, 0.0) == math.inf
    assert limiter.take(charged([per_minute(3)], *["tool a"] * 2), ALICE, 0.0) == 0.0
    assert limiter.take(charged([per_minute(3)], *["tool a"] * 2), ALICE, 30.0) == 30.0


def test_memory_is_bounded() -> None:
    limiter = RateLimiter(most_keys=10)
    for number in range(100):
        limiter.take(charged([per_minute(5)], *[f"tool {number}"]), ALICE, 0.0)
    assert len(limiter) == 10


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 8))
def test_no_minute_ever_holds_more_than_the_limit(gaps: list[float], limit: int) -> None:
    limiter, now, passed = RateLimiter(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        wait = limiter.take(charged([per_minute(limit)], "tool a"), ALICE, now)
        if wait == 0:
            passed.append(now)
        else:
            assert limiter.wait(charged([per_minute(limit)], "tool a"), ALICE, now + wait + 1e-6) == 0.0
    for index, start in enumerate(passed):
        assert sum(1 for at in passed[index:] if at - start < MINUTE) <= limit
