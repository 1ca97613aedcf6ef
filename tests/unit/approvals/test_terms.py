from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.approvals import ask, principal, reviewer, term

from holdpoint.approvals.terms import is_as_strict, key_of, merged, reach, suffices, tightened, timeout
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Verdict, Vote, is_cleared
from holdpoint.domain.decision import BreakGlass, Clause, Scope

GROUPS = ("sre", "dev", "finance")
terms = st.lists(
    st.builds(
        term,
        rule=st.sampled_from(["a", "b"]),
        reviewers=st.frozensets(st.sampled_from([f"group:{g}" for g in GROUPS])),
        required=st.integers(0, 3),
        timeout=st.sampled_from([60.0, 600.0]),
        scope=st.sampled_from(Scope),
        duration=st.sampled_from([0.0, 60.0, 900.0]),
        auto=st.sampled_from([None, 30.0, 60.0]),
        also=st.lists(
            st.builds(Clause, st.frozensets(st.sampled_from([f"group:{g}" for g in GROUPS])), st.integers(0, 2)),
            max_size=2,
        ).map(tuple),
        require_reason=st.booleans(),
        require_preview=st.booleans(),
        widen=st.frozensets(st.sampled_from(["name", "verb"])),
        break_glass=st.sampled_from([None, *(BreakGlass(frozenset(w), d) for w in ("a", "ab") for d in (60.0, 90.0))]),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
votes = st.lists(
    st.builds(
        lambda person, groups: Vote(reviewer(person, *groups), Verdict.APPROVE, "", 0.0),
        st.sampled_from(["bob@example", "carol@example", "dave@example"]),
        st.sets(st.sampled_from(GROUPS), min_size=1),
    ),
    max_size=4,
).map(tuple)


SRE = Clause(frozenset({"group:sre"}))
OWNERS = Clause(frozenset({"group:owners"}))


def window(*widen: str):
    return term(scope=Scope.WINDOW, duration=60.0, widen=frozenset(widen))


def cleared(given_terms, cast) -> bool:
    return is_cleared(ApprovalRequest("a", ask(*given_terms), ApprovalState.PENDING, 0, 1, votes=cast))


@given(terms, terms, votes)
def test_tightened_terms_are_met_only_where_both_are(old, new, cast):
    both = tightened(old, new)
    assert cleared(both, cast) == (cleared(old, cast) and cleared(new, cast))
    assert timeout(both) <= min(timeout(old), timeout(new))
    assert suffices(both, old)
    assert suffices(both, new)
    assert tightened(both, new) == tightened(both, old) == both


@given(terms, terms, votes)
def test_terms_that_suffice_are_met_only_where_the_others_are(old, new, cast):
    if suffices(old, new) and cleared(old, cast):
        assert cleared(new, cast)


@given(terms, terms, st.sampled_from(["", "s"]))
def test_tightened_terms_reach_no_further(old, new, session):
    width = [Scope.REQUEST, Scope.SESSION, Scope.WINDOW]
    both, first = reach(tightened(old, new), session), reach(old, session)
    assert width.index(both.scope) <= width.index(first.scope)
    assert both.duration <= first.duration
    assert both.stream_seconds <= first.stream_seconds
    assert both.widen <= first.widen


@pytest.mark.parametrize(
    ("stricter", "looser"),
    [
        pytest.param(term(required=2), term(required=1), id="more persons"),
        pytest.param(term(required=0), term(required=9), id="nobody"),
        pytest.param(term(), term(reviewers=frozenset({"group:sre", "group:dev"})), id="fewer groups"),
        pytest.param(term(timeout=5), term(timeout=6), id="less time"),
        pytest.param(term(), term(auto=9999), id="silence never counts"),
        pytest.param(term(auto=60), term(auto=30), id="longer silence"),
        pytest.param(term(scope=Scope.SESSION, duration=60), term(scope=Scope.WINDOW, duration=60), id="one session"),
        pytest.param(term(scope=Scope.WINDOW, duration=60), term(scope=Scope.WINDOW, duration=61), id="shorter window"),
        pytest.param(term(also=(OWNERS,)), term(), id="another set"),
        pytest.param(term(required=2), term(also=(Clause(SRE.reviewers | OWNERS.reviewers),)), id="two of one set"),
        pytest.param(term(require_reason=True), term(), id="with a reason"),
        pytest.param(term(require_preview=True), term(), id="with a preview"),
        pytest.param(window(), window("name"), id="what is pinned"),
        pytest.param(window("name"), window("name", "verb"), id="more that is pinned"),
        pytest.param(term(), term(break_glass=BreakGlass(frozenset({"group:a"}), 60)), id="no glass to break"),
        pytest.param(
            term(break_glass=BreakGlass(frozenset({"group:a"}), 60)),
            term(break_glass=BreakGlass(frozenset({"group:a", "group:b"}), 60)),
            id="glass for fewer",
        ),
        pytest.param(
            term(break_glass=BreakGlass(frozenset({"group:a"}), 60)),
            term(break_glass=BreakGlass(frozenset({"group:a"}), 61)),
            id="glass for a shorter time",
        ),
    ],
)
def test_stricter_one_way_and_not_the_other(stricter, looser):
    assert is_as_strict(stricter, looser)
    assert not is_as_strict(looser, stricter)
    assert tightened((looser,), (stricter,)) == (stricter,)
    assert tightened((stricter,), (looser,)) == (stricter,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(term(), window(), id="once, and a window in which a stream would end"),
        pytest.param(term(also=(OWNERS,)), term(required=2), id="other persons"),
        pytest.param(term(require_reason=True), term(require_preview=True), id="a reason and a preview"),
        pytest.param(window("name"), window("verb"), id="other things that are not pinned"),
        pytest.param(
            term(break_glass=BreakGlass(frozenset({"group:a"}), 60)),
            term(break_glass=BreakGlass(frozenset({"group:b"}), 60)),
            id="glass for others",
        ),
    ],
)
def test_what_cannot_be_compared_is_kept_both(one, other):
    assert tightened((one,), (other,)) == (one, other)
    assert not suffices((one,), (other,))
    assert not suffices((other,), (one,))


@pytest.mark.parametrize(
    ("terms_", "session", "reach_"),
    [
        pytest.param((window("name"), window("name", "verb")), "", (Scope.WINDOW, 60, 60, {"name"}), id="both widen"),
        pytest.param((window("name"), window("verb")), "", (Scope.WINDOW, 60, 60, set()), id="neither widens"),
        pytest.param((window("name"), term()), "", (Scope.REQUEST, 0, 60, set()), id="one of them once"),
        pytest.param((term(),), "", (Scope.REQUEST, 0, inf, set()), id="once"),
        pytest.param(
            (term(scope=Scope.SESSION, duration=30, widen=frozenset({"name"})),),
            "",
            (Scope.REQUEST, 0, 30, set()),
            id="one stream",
        ),
        pytest.param(
            (term(scope=Scope.SESSION, duration=30, widen=frozenset({"name"})), window("name")),
            "s",
            (Scope.SESSION, 30, 30, {"name"}),
            id="one session",
        ),
    ],
)
def test_reach_is_the_narrowest_of_all(terms_, session, reach_):
    found = reach(terms_, session)
    assert (found.scope, found.duration, found.stream_seconds, found.widen) == reach_


def test_empty_terms_reach_no_further_than_once_and_have_no_time():
    assert (reach((), "s").scope, timeout(())) == (Scope.REQUEST, 0.0)


def test_empty_terms_suffice_for_nothing():
    assert not suffices((), (term(),))


def test_merging_the_same_ask_is_the_same_object():
    held = ask()
    assert merged(held, ask(exchange="x-2")) is held


def test_key_tells_agents_apart():
    keys = {key_of(ask(who=principal(agent=a))) for a in ("", "claude", "gpt")}
    assert len(keys) == 3


def test_an_approval_by_reviewers_survives_a_rule_that_lets_nobody_break_the_glass_any_more():
    before, after = term(break_glass=BreakGlass(frozenset({"group:ops"}), 900.0)), term()
    assert suffices((before,), (after,), glass=False)
    assert not suffices((before,), (after,), glass=True)
    assert not suffices((before,), (term(required=2),), glass=False)
