import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.approvals import ask, principal, reviewer, term

from holdpoint.approvals.terms import is_as_strict, key_of, merged, reach, suffices, tightened, timeout
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Verdict, Vote, is_cleared
from holdpoint.domain.decision import Scope

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


@pytest.mark.parametrize(
    ("stricter", "looser"),
    [
        pytest.param(term(required=2), term(required=1), id="more persons"),
        pytest.param(term(required=0), term(required=9), id="nobody"),
        pytest.param(term(), term(reviewers=frozenset({"group:sre", "group:dev"})), id="fewer groups"),
        pytest.param(term(timeout=5), term(timeout=6), id="less time"),
        pytest.param(term(), term(auto=9999), id="silence never counts"),
        pytest.param(term(auto=60), term(auto=30), id="longer silence"),
        pytest.param(term(), term(scope=Scope.WINDOW, duration=60), id="once"),
        pytest.param(term(scope=Scope.SESSION, duration=60), term(scope=Scope.WINDOW, duration=60), id="one session"),
        pytest.param(term(scope=Scope.WINDOW, duration=60), term(scope=Scope.WINDOW, duration=61), id="shorter window"),
    ],
)
def test_stricter_one_way_and_not_the_other(stricter, looser):
    assert is_as_strict(stricter, looser)
    assert not is_as_strict(looser, stricter)
    assert tightened((looser,), (stricter,)) == (stricter,)
    assert tightened((stricter,), (looser,)) == (stricter,)


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
