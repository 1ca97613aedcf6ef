"""Answers that begin and do not end."""

from collections.abc import Callable

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from holdpoint.clock import ManualClock
from holdpoint.stages.patience import TOTAL, Patience

pytestmark = pytest.mark.failure("F-upstream-slow")


class Upstreams:
    """Answers under way, a clock, and what was given up."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.given_up: list[http.HTTPFlow] = []
        self.waiting: list[Callable[[], None]] = []
        self.sizes: dict[str, int] = {}
        self.patience = Patience(self.clock, self.given_up.append, self.waiting.append)

    def begin(self, silence: float = 60) -> http.HTTPFlow:
        flow = tflow.tflow()
        self.sizes[flow.id] = 0
        self.patience.begin(flow, lambda: self.sizes[flow.id], silence)
        return flow

    def wait(self, seconds: float) -> None:
        """Let time pass, and have what was to be looked at later looked at."""
        self.clock.advance(seconds)
        calls, self.waiting[:] = list(self.waiting), []
        for call in calls:
            call()


def test_an_answer_that_falls_silent_is_given_up_once() -> None:
    world = Upstreams()
    flow = world.begin()
    world.wait(0.5)
    world.wait(59)
    assert world.given_up == []
    world.wait(1)
    assert world.given_up == [flow]
    world.wait(100)
    assert world.given_up == [flow]
    assert len(world.patience) == 0


def test_an_answer_that_goes_on_is_waited_for_until_its_whole_time_is_over() -> None:
    world = Upstreams()
    flow = world.begin(60)
    for _ in range(TOTAL * 2 - 1):
        world.wait(30)
        world.sizes[flow.id] += 1
    assert world.given_up == []
    world.wait(30)
    assert world.given_up == [flow]


def test_an_answer_that_ended_is_forgotten_and_nothing_is_looked_at_any_more() -> None:
    world = Upstreams()
    flow, other = world.begin(), world.begin(10)
    world.patience.end(flow)
    world.wait(1000)
    assert world.given_up == [other]
    assert world.waiting == []


def test_many_answers_are_looked_at_in_one_round() -> None:
    world = Upstreams()
    for _ in range(100):
        world.begin()
    assert len(world.waiting) == 1
