import asyncio

import pytest
from tests.fakes.approvals import ISSUER, House, ask, principal, reviewer, term

from holdpoint.approvals.errors import AlreadyResolved, Changed, NotAllowed, NotFound
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.domain.approval import ApprovalState, Verdict
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import GrantState

APPROVE, DENY = Verdict.APPROVE, Verdict.DENY


async def test_one_reviewer_approves_and_makes_a_grant(home: House):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "go")
    assert (done.state, done.resolution) == (ApprovalState.APPROVED, "approved by Bob: go")
    grant = await home.store.grant(done.grant)
    assert grant is not None
    assert (grant.state, grant.scope, grant.approval) == (GrantState.ACTIVE, Scope.REQUEST, held.id)
    assert (grant.principal, grant.target, grant.intent) == (f"{ISSUER}#alice@example", "shop", held.ask.intent)
    assert home.told.kinds == [BrokerEventKind.HELD, BrokerEventKind.RESOLVED]


async def test_one_denial_ends_it_with_comment_and_name(home: House):
    held = await home.broker.request(ask(term(required=2)))
    done = await home.broker.vote(held.id, reviewer(), DENY, "not on a Friday")
    assert (done.state, done.resolution, done.grant) == (ApprovalState.DENIED, "denied by Bob: not on a Friday", "")
    assert [v.comment for v in (await home.broker.get(held.id)).votes] == ["not on a Friday"]


async def test_two_persons_are_two_and_one_person_twice_is_one(home: House):
    held = await home.broker.request(ask(term(required=2)))
    for _ in range(2):
        assert (await home.broker.vote(held.id, reviewer(), APPROVE, "")).state is ApprovalState.PENDING
    assert len((await home.broker.get(held.id)).votes) == 1
    assert (await home.broker.vote(held.id, reviewer("carol@example"), APPROVE, "")).state is ApprovalState.APPROVED


async def test_every_set_of_terms_must_be_met(home: House):
    both = (term(), term(rule="money", reviewers=frozenset({"group:finance"})))
    held = await home.broker.request(ask(*both))
    assert (await home.broker.vote(held.id, reviewer(), APPROVE, "")).state is ApprovalState.PENDING
    done = await home.broker.vote(held.id, reviewer("fin@example", "finance"), APPROVE, "")
    assert done.state is ApprovalState.APPROVED


@pytest.mark.threat("T04")
@pytest.mark.parametrize("verdict", [APPROVE, DENY])
@pytest.mark.parametrize(
    ("who", "by", "why"),
    [
        pytest.param(principal(), "alice@example", "you made this request", id="requester"),
        pytest.param(principal(agent="claude"), "alice@example", "you made this request", id="person behind the agent"),
        pytest.param(
            principal(None, owners=frozenset({"bob@example"})), "bob@example", "you made this request", id="owner"
        ),
        pytest.param(principal(None), "bob@example", "no person is known", id="nobody known"),
        pytest.param(principal(), "", "does not name a person", id="reviewer without person"),
        pytest.param(principal(), "mallory@example", "not among the reviewers", id="no reviewer"),
    ],
)
async def test_vote_of_the_wrong_person_does_not_count(home: House, who, by, why, verdict):
    held = await home.broker.request(ask(who=who))
    groups = ("dev",) if by == "mallory@example" else ("sre",)
    with pytest.raises(NotAllowed, match=why):
        await home.broker.vote(held.id, reviewer(by, *groups), verdict, "")
    after = await home.broker.get(held.id)
    assert (after.state, after.votes) == (ApprovalState.PENDING, ())


async def test_empty_reviewers_means_that_nobody_can_approve(home: House):
    held = await home.broker.request(ask(term(reviewers=frozenset())))
    with pytest.raises(NotAllowed):
        await home.broker.vote(held.id, reviewer(), APPROVE, "")


@pytest.mark.parametrize("required", [0, -1])
async def test_terms_that_ask_for_nobody_are_never_met(home: House, required):
    held = await home.broker.request(ask(term(required=required)))
    assert (await home.broker.vote(held.id, reviewer(), APPROVE, "")).state is ApprovalState.PENDING


async def test_vote_on_what_has_ended_is_refused(home: House):
    held = await home.broker.request(ask())
    await home.broker.vote(held.id, reviewer(), DENY, "")
    with pytest.raises(AlreadyResolved) as caught:
        await home.broker.vote(held.id, reviewer("carol@example"), APPROVE, "")
    assert caught.value.request.state is ApprovalState.DENIED


async def test_vote_on_nothing_is_refused(home: House):
    with pytest.raises(NotFound, match="`apr-none`"):
        await home.broker.vote("apr-none", reviewer(), APPROVE, "")


async def test_vote_after_the_deadline_is_too_late_even_before_the_timer_fires(home: House):
    held = await home.broker.request(ask(term(timeout=60)))
    home.clock.advance(60)
    with pytest.raises(AlreadyResolved):
        await home.broker.vote(held.id, reviewer(), APPROVE, "")
    assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED


async def test_vote_on_another_request_than_was_read_is_refused(home: House):
    held = await home.broker.request(ask())
    with pytest.raises(Changed):
        await home.broker.vote(held.id, reviewer(), APPROVE, "", expect="sha256:other")
    assert (await home.broker.vote(held.id, reviewer(), APPROVE, "", expect=held.ask.intent)).grant


async def test_endless_comment_is_refused(home: House):
    held = await home.broker.request(ask())
    with pytest.raises(NotAllowed, match="4000 characters"):
        await home.broker.vote(held.id, reviewer(), APPROVE, "x" * 4001)


async def test_two_racing_votes_end_it_once(home: House):
    held = await home.broker.request(ask())
    results = await asyncio.gather(
        home.broker.vote(held.id, reviewer(), APPROVE, ""),
        home.broker.vote(held.id, reviewer("carol@example"), DENY, ""),
        return_exceptions=True,
    )
    assert [type(r) for r in results].count(AlreadyResolved) == 1
    assert home.told.kinds.count(BrokerEventKind.RESOLVED) == 1


async def test_cancelled_voter_still_votes(home: House):
    held = await home.broker.request(ask())
    voting = asyncio.ensure_future(home.broker.vote(held.id, reviewer(), APPROVE, ""))
    await asyncio.sleep(0)
    voting.cancel()
    assert (await home.broker.wait(held.id, timeout=10)).state is ApprovalState.APPROVED
    with pytest.raises(asyncio.CancelledError):
        await voting
