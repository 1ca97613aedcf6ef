"""Who counts for which set of reviewers: each person in one place, and as many places filled as can be."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.approvals import ask, principal, reviewer, term

from holdpoint.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    Verdict,
    Vote,
    is_cleared,
    may_review,
    quorums,
    reviewer_names,
)
from holdpoint.domain.decision import Clause, RequireApproval

GROUPS = ("sre", "owners", "finance")
PERSONS = ("bob@example", "carol@example", "dave@example", "erin@example")
clauses = st.lists(
    st.builds(
        Clause,
        st.frozensets(st.sampled_from([*(f"group:{g}" for g in GROUPS), "person:bob@example"]), max_size=3),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=3,
)
casts = st.lists(st.tuples(st.sampled_from(PERSONS), st.sets(st.sampled_from(GROUPS), max_size=3)), max_size=6)


def of(*parts: tuple[str, int]) -> RequireApproval:
    first, *others = (Clause(frozenset({who}), count) for who, count in parts)
    return with_clauses([first, *others])


def with_clauses(found: list[Clause]) -> RequireApproval:
    return replace(term(reviewers=found[0].reviewers, required=found[0].required), also=tuple(found[1:]))


def request(*terms, votes=(), who=None) -> ApprovalRequest:
    return ApprovalRequest("a", ask(*terms, who=who), ApprovalState.PENDING, 0, 1, votes=tuple(votes))


def yes(person, *groups, acting_for=frozenset(), verdict=Verdict.APPROVE) -> Vote:
    return Vote(replace(reviewer(person, "-"), groups=frozenset(groups), acting_for=acting_for), verdict, "", 0.0)


def most_by_trying(found: list[Clause], names: dict[str, frozenset[str]]) -> int:
    """How many places can be filled, by trying every way of giving each person one clause or none."""
    best = 0
    for choice in product(range(-1, len(found)), repeat=len(names)):
        counts = [0] * len(found)
        for (_, mine), at in zip(names.items(), choice, strict=True):
            if at >= 0 and mine & found[at].reviewers:
                counts[at] += 1
        best = max(best, sum(min(n, c.required) for n, c in zip(counts, found, strict=True)))
    return best


@given(clauses, casts)
def test_places_are_filled_as_by_trying_every_way(found, cast):
    votes = [yes(person, *groups) for person, groups in cast]
    (quorum,) = quorums(request(with_clauses(found), votes=votes))
    names: dict[str, frozenset[str]] = {}
    for vote in votes:
        person = vote.reviewer.person
        names[person] = names.get(person, frozenset()) | reviewer_names(vote.reviewer)
    filled = [p for by in quorum.filled_by for p in by]
    assert len(filled) == len(set(filled)) == most_by_trying(found, names)
    for clause, by, missing in zip(found, quorum.filled_by, quorum.missing, strict=True):
        assert all(names[p] & clause.reviewers for p in by)
        assert len(by) + missing == clause.required
    can_be = all(c.required >= 1 for c in found) and most_by_trying(found, names) == sum(c.required for c in found)
    assert quorum.met is can_be


@pytest.mark.threat("T60")
@pytest.mark.parametrize(
    ("asked", "votes", "met"),
    [
        pytest.param(of(("group:sre", 1), ("group:owners", 1)), [yes("bob@example", "sre", "owners")], False, id="one"),
        pytest.param(
            of(("group:sre", 1), ("group:owners", 1)),
            [yes("bob@example", "sre", "owners"), yes("carol@example", "sre")],
            True,
            id="the first moves aside",
        ),
        pytest.param(
            of(("group:sre", 1), ("group:owners", 1)),
            [yes("bob@example", "sre"), yes("bob@example", "owners")],
            False,
            id="one person with two logins",
        ),
        pytest.param(
            of(("group:sre", 2), ("group:owners", 1)),
            [yes("bob@example", "sre", "owners"), yes("carol@example", "owners"), yes("dave@example", "sre")],
            True,
            id="two and one",
        ),
        pytest.param(
            of(("person:ana@example", 1), ("person:bob@example", 1)),
            [yes("bob@example", acting_for=frozenset({"person:ana@example"}))],
            False,
            id="for another and for oneself",
        ),
        pytest.param(
            of(("person:ana@example", 1)),
            [yes("bob@example", acting_for=frozenset({"person:ana@example"}))],
            True,
            id="for one who is away",
        ),
        pytest.param(
            of(("person:alice@example", 1)),
            [yes("bob@example", acting_for=frozenset({"person:alice@example"}))],
            False,
            id="for the requester",
        ),
        pytest.param(
            of(("group:sre", 1)), [yes("bob@example", "sre", verdict=Verdict.BREAK_GLASS)], False, id="broken glass"
        ),
        pytest.param(of(("group:sre", 1)), [yes("bob@example", "sre", verdict=Verdict.REVIEW)], False, id="a review"),
    ],
)
def test_each_person_counts_once(asked, votes, met):
    assert is_cleared(request(asked, votes=votes)) is met


def test_each_rule_counts_by_itself():
    both = request(of(("group:sre", 1)), of(("group:owners", 1)), votes=[yes("bob@example", "sre", "owners")])
    assert is_cleared(both)
    assert [q.missing for q in quorums(both)] == [(0,), (0,)]


def test_owner_of_a_workload_has_no_deputy():
    robot = principal(None, owners=frozenset({"olga@example"}))
    asked = of(("person:olga@example", 1))
    vote = yes("bob@example", acting_for=frozenset({"person:olga@example"}))
    assert not is_cleared(request(asked, votes=[vote], who=robot))
    assert not may_review(vote.reviewer, asked, robot.requesters)
    assert may_review(vote.reviewer, asked)


def test_who_has_no_place_is_told_from_who_may_not():
    votes = [yes("bob@example", "sre"), yes("carol@example", "sre"), yes("dave@example", "finance")]
    (quorum,) = quorums(request(of(("group:sre", 1), ("group:owners", 1)), votes=votes))
    assert quorum.approved_by == {"bob@example", "carol@example"}
    assert quorum.filled_by == (frozenset({"bob@example"}), frozenset())
    assert quorum.missing == (0, 1)
