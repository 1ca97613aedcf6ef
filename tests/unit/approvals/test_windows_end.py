"""When what a window opened ends, and what becomes of a window under other terms."""

from dataclasses import replace
from math import inf

import pytest
from tests.fakes.approvals import ask, term

from holdpoint.approvals.terms import reach
from holdpoint.approvals.window_words import span, tail
from holdpoint.approvals.windows import narrowed, stream_end
from holdpoint.domain.approval import Ask
from holdpoint.domain.decision import RequireApproval, Scope
from holdpoint.domain.grant import Grant, GrantState


def grant(scope: Scope, *, stream_until: float = 0.0) -> Grant:
    return Grant(
        *("g", "a", "p", "t", "i", scope, GrantState.ACTIVE),
        created_at=1_000.0,
        expires_at=1_900.0,
        stream_until=stream_until,
    )


def of(scope: Scope, seconds: float, *widen: str) -> RequireApproval:
    return term(scope=scope, duration=seconds, widen=frozenset(widen))


@pytest.mark.threat("T61")
@pytest.mark.parametrize(
    ("given", "terms", "end"),
    [
        pytest.param(None, (), inf, id="no approval"),
        pytest.param(grant(Scope.REQUEST), (term(),), inf, id="once, and no rule says how long"),
        pytest.param(grant(Scope.REQUEST), (of(Scope.SESSION, 60),), 1_060.0, id="one stream"),
        pytest.param(grant(Scope.REQUEST), (term(), of(Scope.WINDOW, 60)), 1_060.0, id="once, and a window"),
        pytest.param(grant(Scope.REQUEST, stream_until=1_030.0), (term(),), 1_030.0, id="as the approval said"),
        pytest.param(grant(Scope.REQUEST, stream_until=1_030.0), (of(Scope.SESSION, 60),), 1_030.0, id="the sooner"),
        pytest.param(grant(Scope.WINDOW), (of(Scope.WINDOW, 900),), 1_900.0, id="with the window"),
        pytest.param(grant(Scope.SESSION), (of(Scope.SESSION, 900),), 1_900.0, id="with the session"),
        pytest.param(grant(Scope.WINDOW, stream_until=1_030.0), (of(Scope.WINDOW, 900),), 1_030.0, id="broken glass"),
    ],
)
def test_stream_ends_with_what_opened_it(given, terms, end):
    assert stream_end(given, terms) == end


def asked(*terms: RequireApproval, session: str = "") -> Ask:
    return replace(ask(*terms, session=session), window="sha256:w", opens="any call" + tail(reach(terms, session)))


def test_same_terms_leave_a_window_as_it_is():
    old = asked(of(Scope.WINDOW, 60, "arguments"))
    assert narrowed(old, replace(old, bundle="sha256:b")) == replace(old, bundle="sha256:b")


def test_shorter_window_is_the_same_window_and_says_how_long():
    old = asked(of(Scope.WINDOW, 60, "arguments"))
    new = narrowed(old, replace(old, terms=(of(Scope.WINDOW, 30, "arguments"),)))
    assert (new.window, new.opens) == ("sha256:w", "any call, for 30 seconds from the approval")


@pytest.mark.threat("T61")
@pytest.mark.parametrize(
    ("terms", "ending"),
    [
        pytest.param((of(Scope.WINDOW, 60),), "for 1 minute from the approval", id="nothing left open"),
        pytest.param((of(Scope.WINDOW, 60, "arguments.a"),), "for 1 minute from the approval", id="other things"),
        pytest.param((of(Scope.SESSION, 60, "arguments"),), "once; a stream that it opens ends 1 minute", id="session"),
        pytest.param((term(),), ", once", id="once"),
    ],
)
def test_window_that_would_be_cut_otherwise_now_is_closed(terms, ending):
    old = asked(of(Scope.WINDOW, 60, "arguments"))
    new = narrowed(old, replace(old, terms=terms))
    assert new.window == ""
    assert new.opens.startswith("this very request alone: the rules changed after it was asked")
    assert ending in new.opens


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (5_400, "90 minutes"),
        (7_200, "2 hours"),
        (86_400, "1 day"),
    ],
)
def test_durations_are_said_in_the_largest_whole_unit(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.05, "0.05 seconds"), (1.5, "1.5 seconds")])
def test_part_of_a_second_is_not_rounded_away(seconds, text):
    assert span(seconds) == text
