"""Two gateways on one store: what one decides the other neither overwrites nor decides again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes.approvals import ask, glass, reviewer, term
from tests.fakes.postgres_gateways import PostgresGateways
from tests.fakes.shared_store import Gateways

from holdpoint.approvals.errors import AlreadyResolved, Changed, GrantSpent, NotAllowed
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.domain.approval import ApprovalState, DryRun, DryRunState, Verdict, preview_digest
from holdpoint.domain.decision import Permit, Scope
from holdpoint.domain.grant import Grant, GrantState

pytestmark = [pytest.mark.threat("T66"), pytest.mark.failure("F-approvals-two-gateways")]

APPROVE, DENY = Verdict.APPROVE, Verdict.DENY
ALICE, BOB, CAROL = reviewer("alice@example"), reviewer(), reviewer("carol@example")


@pytest.fixture(params=["one store", "postgres"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gateways | PostgresGateways]:
    if request.param == "postgres":
        home = PostgresGateways(request.getfixturevalue("make_postgres"), 2)
    else:
        home = Gateways(tmp_path / "s.db", 2)
    await home.open()
    yield home
    await home.close()


async def held_by_both(home: Gateways, *terms):
    one, two = [await b.request(ask(*terms)) for b in home.brokers]
    assert one.id == two.id
    return one


async def told_twice(home: Gateways | PostgresGateways) -> None:
    """Wait until both told that a grant ended: one may be in the middle of hearing of it."""
    async with asyncio.timeout(30):
        while sum(e.kind is BrokerEventKind.GRANT_ENDED for e in home.told) < 2:
            await asyncio.sleep(0.01)


async def test_same_request_asked_at_both_at_once_is_held_once(both: Gateways):
    one, two = await asyncio.gather(*(b.request(ask()) for b in both.brokers))
    assert one.id == two.id
    assert len(await both.store.pending()) == 1


async def test_votes_of_both_count_together(both: Gateways):
    held = await held_by_both(both, term(required=2))
    assert (await both.brokers[0].vote(held.id, BOB, APPROVE, "")).state is ApprovalState.PENDING
    done = await both.brokers[1].vote(held.id, CAROL, APPROVE, "")
    assert (done.state, len(done.votes)) == (ApprovalState.APPROVED, 2)


async def test_one_person_voting_at_both_is_one_person(both: Gateways):
    held = await held_by_both(both, term(required=2))
    await asyncio.gather(*(b.vote(held.id, BOB, APPROVE, "") for b in both.brokers))
    assert (await both.store.approval(held.id)).state is ApprovalState.PENDING


@pytest.mark.parametrize("verdicts", [(APPROVE, DENY), (DENY, APPROVE), (APPROVE, APPROVE)], ids=str)
async def test_of_two_decisions_at_once_one_counts(both: Gateways, verdicts):
    held = await held_by_both(both, term())
    votes = [
        b.vote(held.id, v, verdict, "") for b, v, verdict in zip(both.brokers, (BOB, CAROL), verdicts, strict=True)
    ]
    results = await asyncio.gather(*votes, return_exceptions=True)
    assert [type(r) for r in results].count(AlreadyResolved) == 1
    stored = await both.store.approval(held.id)
    assert len(stored.votes) == 1
    assert len(await both.store.active_grants()) == (stored.state is ApprovalState.APPROVED)


async def test_what_one_was_told_the_other_does_not_overlook(both: Gateways):
    held = await held_by_both(both, term())
    await both.brokers[0].note_dry_run(held.id, DryRun(DryRunState.READY, shown={"diff": ["a"]}))
    with pytest.raises(Changed):
        await both.brokers[0].vote(held.id, BOB, APPROVE, "", preview=preview_digest(held))
    # The other has not heard of it yet, and finds out when it would store the vote.
    with pytest.raises(Changed):
        await both.brokers[1].vote(held.id, BOB, APPROVE, "", preview=preview_digest(held))


async def test_stricter_policy_of_one_counts_at_the_other(both: Gateways):
    held = await held_by_both(both, term())
    await both.brokers[0].redecide(lambda _: Permit("sha256:b", (), (term(required=2),)))
    assert (await both.brokers[1].vote(held.id, BOB, APPROVE, "")).state is ApprovalState.PENDING


async def test_of_two_dispatches_at_once_one_is_sent(both: Gateways):
    held = await held_by_both(both, term())
    done = await both.brokers[0].vote(held.id, BOB, APPROVE, "")
    spends = [b.spend(done.grant, wire="w", exchange=f"g{n}-1") for n, b in enumerate(both.brokers)]
    results = await asyncio.gather(*spends, return_exceptions=True)
    assert [type(r) for r in results].count(Grant) == 1
    assert [type(r) for r in results].count(GrantSpent) == 1


async def test_one_glass_is_broken_at_one_of_them(both: Gateways):
    terms = term(break_glass=glass())
    first = await both.brokers[0].request(ask(terms, what="a"))
    second = await both.brokers[1].request(ask(terms, what="b"))
    why = "nobody answers and it burns"
    breaks = [b.break_glass(r.id, ALICE, why) for b, r in zip(both.brokers, (first, second), strict=True)]
    results = await asyncio.gather(*breaks, return_exceptions=True)
    assert [type(r) for r in results].count(NotAllowed) == 1


async def test_waiter_at_one_hears_of_what_the_other_decided(both: Gateways):
    held = await held_by_both(both, term())
    waiting = asyncio.ensure_future(both.brokers[1].wait(held.id, timeout=None))
    await asyncio.sleep(0)
    await both.brokers[0].vote(held.id, BOB, APPROVE, "")
    await both.brokers[1].refresh(held.id)
    assert (await waiting).state is ApprovalState.APPROVED
    assert [e.elsewhere for e in both.told if e.kind is BrokerEventKind.RESOLVED] == [False, True]


async def test_request_that_one_holds_is_taken_up_by_the_other(both: Gateways):
    held = await both.brokers[0].request(ask())
    await both.brokers[1].refresh(held.id)
    assert both.brokers[1].held == 1
    await both.brokers[1].refresh("apr-none")


async def test_grant_that_one_ends_is_told_at_the_other_once(both: Gateways):
    held = await held_by_both(both, term(scope=Scope.WINDOW, duration=600))
    done = await both.brokers[0].vote(held.id, BOB, APPROVE, "")
    access = held.ask.access
    for broker in both.brokers:
        assert await broker.find_grant(access.principal.id, "shop", held.ask.intent, "") is not None
    await both.brokers[0].end_grant(done.grant, GrantState.REVOKED, "no longer")
    for _ in range(2):
        await both.brokers[1].refresh(held.id)
    await told_twice(both)
    ended = [(e.elsewhere, e.detail) for e in both.told if e.kind is BrokerEventKind.GRANT_ENDED]
    assert sorted(ended) == [(False, "no longer"), (True, "no longer")]


async def test_grant_whose_time_is_over_is_told_at_both(both: Gateways):
    held = await held_by_both(both, term(scope=Scope.WINDOW, duration=60))
    await both.brokers[0].vote(held.id, BOB, APPROVE, "")
    await both.brokers[1].find_grant(held.ask.access.principal.id, "shop", held.ask.intent, "")
    both.clock.advance(60)
    await asyncio.gather(*(b.tick() for b in both.brokers))
    await told_twice(both)
    assert sorted(e.elsewhere for e in both.told if e.kind is BrokerEventKind.GRANT_ENDED) == [False, True]
