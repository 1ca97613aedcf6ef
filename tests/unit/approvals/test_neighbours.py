"""Gateways that share a PostgreSQL store: each hears of what the others do, and reports what they leave behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.approvals import ask, reviewer, term
from tests.fakes.postgres_gateways import PostgresGateways

from holdpoint.approvals.broker import Broker
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Verdict
from holdpoint.domain.decision import Deny, DenyReason, Permit, Scope
from holdpoint.domain.grant import GrantState
from holdpoint.store.postgres import GONE_AFTER

APPROVE, DENY = Verdict.APPROVE, Verdict.DENY
BOB, CAROL = reviewer(), reviewer("carol@example")


@pytest.fixture
async def both(make_postgres) -> AsyncIterator[PostgresGateways]:
    home = PostgresGateways(make_postgres, 2)
    await home.open()
    yield home
    await home.close()


async def until(test) -> None:
    """Wait, as the gateway itself does, until something has been heard. The test's own time limit ends it."""
    async with asyncio.timeout(30):
        while not test():
            await asyncio.sleep(0.01)


type Held = tuple[ApprovalRequest, asyncio.Future[ApprovalRequest]]


async def held_at_first(home: PostgresGateways, *terms, **more) -> Held:
    held = await home.brokers[0].request(ask(*terms, **more))
    waiting = asyncio.ensure_future(home.brokers[0].wait(held.id, timeout=30))
    await asyncio.sleep(0)
    return held, waiting


@pytest.mark.failure("F-store-pg-two-gateways")
@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        pytest.param(APPROVE, ApprovalState.APPROVED, id="approved"),
        pytest.param(DENY, ApprovalState.DENIED, id="denied"),
    ],
)
async def test_waiter_of_one_wakes_when_the_other_is_told(both: PostgresGateways, verdict, state):
    held, waiting = await held_at_first(both)
    await both.brokers[1].vote(held.id, BOB, verdict, "seen at the other")
    done = await waiting
    assert (done.state, done.votes[0].comment) == (state, "seen at the other")


@pytest.mark.failure("F-store-pg-two-gateways")
async def test_what_one_holds_the_others_show_at_once(both: PostgresGateways):
    since = both.brokers[1].version
    held, _ = await held_at_first(both)
    await both.brokers[1].wait_change(since, timeout=30)
    assert both.brokers[1].held == 1
    assert (await both.brokers[1].get(held.id)).id == held.id


async def test_vote_at_one_is_shown_at_the_other(both: PostgresGateways):
    held, _ = await held_at_first(both, term(required=2))
    await both.brokers[1].vote(held.id, BOB, APPROVE, "")
    async with asyncio.timeout(30):
        while not (await both.brokers[0].get(held.id)).votes:
            await asyncio.sleep(0.01)


async def test_withdrawn_at_one_wakes_the_waiter_of_the_other(both: PostgresGateways):
    held, waiting = await held_at_first(both)
    await until(lambda: both.brokers[1].held == 1)
    await both.brokers[1].redecide(lambda _: Deny(DenyReason.EXPLICIT))
    assert (await waiting).state is ApprovalState.WITHDRAWN
    assert (await both.store.approval(held.id)).state is ApprovalState.WITHDRAWN


async def test_tightened_at_one_is_as_strict_at_the_other(both: PostgresGateways):
    held, waiting = await held_at_first(both)
    await until(lambda: both.brokers[1].held == 1)
    await both.brokers[1].redecide(lambda _: Permit("sha256:b", (), (term(required=2, timeout=5),)))
    async with asyncio.timeout(30):
        while (await both.brokers[0].get(held.id)).ask.terms[0].required < 2:
            await asyncio.sleep(0.01)
    assert (await both.brokers[0].vote(held.id, BOB, APPROVE, "")).state is ApprovalState.PENDING
    both.clock.advance(6)
    await both.brokers[0].tick()
    assert (await waiting).state is ApprovalState.EXPIRED


@pytest.mark.failure("F-store-pg-unheard")
async def test_what_nobody_told_is_found_by_looking(both: PostgresGateways):
    for store in both.stores:
        await asyncio.to_thread(store._listener.stop)
    held, waiting = await held_at_first(both)
    await both.brokers[1].vote(held.id, BOB, APPROVE, "")
    await both.brokers[0]._neighbours.look()
    assert (await waiting).state is ApprovalState.APPROVED
    other = await both.brokers[0].request(ask(what="other"))
    await both.brokers[1]._neighbours.look()
    assert (await both.brokers[1].get(other.id)).state is ApprovalState.PENDING
    assert both.brokers[1].held == 1


@pytest.mark.failure("F-store-pg-unheard")
async def test_task_looks_by_itself(both: PostgresGateways):
    for store in both.stores:
        await asyncio.to_thread(store._listener.stop)
    held, waiting = await held_at_first(both)
    await both.brokers[1].vote(held.id, BOB, APPROVE, "")
    assert (await waiting).state is ApprovalState.APPROVED


async def test_grant_that_one_revokes_is_told_at_the_other(both: PostgresGateways):
    held, _ = await held_at_first(both, term(scope=Scope.WINDOW, duration=600))
    done = await both.brokers[0].vote(held.id, BOB, APPROVE, "")
    await until(lambda: done.grant in both.brokers[1]._grants.known)
    await both.brokers[1].end_grant(done.grant, GrantState.REVOKED, "enough")
    await until(lambda: sum(e.kind is BrokerEventKind.GRANT_ENDED for e in both.told) == 2)
    assert done.grant not in both.brokers[0]._grants.known
    assert sorted(e.elsewhere for e in both.told if e.kind is BrokerEventKind.GRANT_ENDED) == [False, True]


async def spent_at_first(home: PostgresGateways) -> str:
    held, _ = await held_at_first(home)
    done = await home.brokers[1].vote(held.id, BOB, APPROVE, "")
    await home.brokers[0].spend(done.grant, wire="w", exchange="x-1")
    return done.grant


@pytest.mark.threat("T83")
@pytest.mark.failure("F-store-pg-kill")
async def test_dispatch_of_a_gateway_that_lives_is_left_alone(both: PostgresGateways):
    grant = await spent_at_first(both)
    other = Broker(both.stores[1], both.clock, both.told.append)
    await other.start()
    both.clock.advance(10 * GONE_AFTER)
    await other._neighbours.look()
    assert (await both.store.grant(grant)).state is GrantState.SPENT
    await both.brokers[0].settle(grant, GrantState.ANSWERED, exchange="x-1")
    assert (await both.store.grant(grant)).state is GrantState.ANSWERED
    await other.close()


@pytest.mark.threat("T83")
@pytest.mark.failure("F-store-pg-kill")
async def test_dispatch_of_a_gateway_that_is_gone_is_reported_once_and_never_sent_again(make_postgres):
    home = PostgresGateways(make_postgres, 3)
    await home.open()
    grant = await spent_at_first(home)
    for lane in (home.stores[0]._writer, home.stores[0]._reader):  # killed: nothing is settled, the lock is gone
        await lane.stop()
    survivors = home.brokers[1:]
    await asyncio.gather(*(b._neighbours.look() for b in survivors))
    assert (await home.store.grant(grant)).state is GrantState.SPENT, "it may yet come back"
    home.clock.advance(GONE_AFTER)
    for _ in range(2):
        await asyncio.gather(*(b._neighbours.look() for b in survivors))
    assert (await home.store.grant(grant)).state is GrantState.UNKNOWN
    assert [e.exchange for e in home.told if e.kind is BrokerEventKind.OUTCOME_UNKNOWN] == ["x-1"]
    await home.close()
