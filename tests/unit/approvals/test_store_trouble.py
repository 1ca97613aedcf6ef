import asyncio
import logging
from contextlib import suppress

import pytest
from tests.fakes.approvals import House, ask, reviewer, term

from holdpoint.approvals.broker import Broker
from holdpoint.approvals.errors import AlreadyResolved
from holdpoint.approvals.terms import key_of
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, DryRun, DryRunState, Verdict
from holdpoint.domain.decision import Permit
from holdpoint.domain.grant import GrantState
from holdpoint.domain.refusal import GatewayFault
from holdpoint.store.protocol import Resolution, StoreUnavailable

APPROVE = Verdict.APPROVE


async def fill_disk(home: House) -> None:
    """Let SQLite have no page more than it has, and use up what is free in them."""
    run = home.store._writer.run
    (pages,) = await run(lambda c: c.execute("PRAGMA page_count").fetchone())
    await run(lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchone())


async def free_disk(home: House) -> None:
    await home.store._writer.run(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchone())


def big(what: str = "deploy"):
    asked = ask(what=what)
    asked.preview["filler"] = "x" * 200_000
    return asked


@pytest.mark.failure("F-store-full")
async def test_full_disk_holds_nothing_and_heals(home: House):
    await fill_disk(home)
    with pytest.raises(StoreUnavailable, match="free some space"):
        await home.broker.request(big())
    assert home.broker.held == 0
    await free_disk(home)
    assert (await home.broker.request(big())).state is ApprovalState.PENDING


@pytest.mark.failure("F-store-full")
async def test_vote_that_could_not_be_stored_did_not_happen(home: House):
    held = await home.broker.request(ask())
    comment = "x" * 4_000
    await fill_disk(home)
    # Uses up what is free in the pages that there are.
    notes = [home.store.set_note(f"n{i}", comment) for i in range(100)]
    for note in notes:
        with suppress(StoreUnavailable):
            await note
    with pytest.raises(StoreUnavailable):
        await home.broker.vote(held.id, reviewer(), APPROVE, comment)
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
    assert await home.store.active_grants() == ()
    await free_disk(home)
    assert (await home.broker.vote(held.id, reviewer(), APPROVE, comment)).grant


async def test_deadline_that_could_not_be_stored_still_ends_the_vote_and_is_tried_again(home: House, caplog):
    caplog.set_level(logging.CRITICAL, "holdpoint.store")
    held = await home.broker.request(ask(term(timeout=60)))
    await home.store.close()
    home.clock.advance(60)
    with pytest.raises(StoreUnavailable):
        await home.broker.tick()
    with pytest.raises(StoreUnavailable):
        await home.broker.vote(held.id, reviewer(), APPROVE, "")
    await home.restart()
    assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED


async def test_timer_outlives_a_store_that_fails(home: House, caplog):
    await home.broker.request(ask(term(timeout=60)))
    await home.store.close()
    home.clock.advance(60)
    home.broker._deadlines.wake.set()
    while "trying again" not in caplog.text:  # the timer itself is what is tested
        await asyncio.sleep(0.01)
    assert home.broker._deadlines.running


async def test_request_that_the_store_has_and_the_broker_lost_is_taken_up_again(home: House):
    asked = ask()
    now = home.clock.now()
    lost = ApprovalRequest("apr-lost", asked, ApprovalState.PENDING, now, now + 600)
    await home.store.add_approval(lost, key_of(asked), "")
    assert (await home.broker.request(asked)).id == "apr-lost"
    assert (await home.broker.vote("apr-lost", reviewer(), APPROVE, "")).state is ApprovalState.APPROVED


async def test_vote_on_what_the_store_has_pending_and_the_broker_lost_counts(home: House):
    now = home.clock.now()
    lost = ApprovalRequest("apr-lost", ask(), ApprovalState.PENDING, now, now + 600)
    await home.store.add_approval(lost, key_of(lost.ask), "")
    assert (await home.broker.vote("apr-lost", reviewer(), APPROVE, "")).state is ApprovalState.APPROVED


@pytest.mark.parametrize("required", [1, 2], ids=["last vote", "one of two"])
async def test_what_the_store_resolved_otherwise_wins_and_wakes_waiters(home: House, required):
    held = await home.broker.request(ask(term(required=required)))
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await asyncio.sleep(0)
    await home.store.resolve(held.id, Resolution(ApprovalState.WITHDRAWN, "elsewhere", 1.0))
    with pytest.raises(AlreadyResolved) as caught:
        await home.broker.vote(held.id, reviewer(), APPROVE, "")
    assert caught.value.request.resolution == "elsewhere"
    assert (await waiting).state is ApprovalState.WITHDRAWN


async def test_reload_and_deadline_pass_over_what_the_store_resolved_otherwise(home: House):
    one, two = [await home.broker.request(ask(term(timeout=60), what=w)) for w in ("a", "b")]
    for held in (one, two):
        await home.store.resolve(held.id, Resolution(ApprovalState.WITHDRAWN, "elsewhere", 1.0))
    home.broker._desk.entries.pop(two.id)
    changes = await home.broker.redecide(lambda _: Permit("sha256:b", (), (term(required=2),)))
    assert (changes.withdrawn, changes.tightened) == ((), ())
    three = await home.broker.request(ask(term(timeout=60), what="c"))
    await home.store.resolve(three.id, Resolution(ApprovalState.WITHDRAWN, "elsewhere", 1.0))
    await home.later(60)
    assert (await home.broker.get(three.id)).resolution == "elsewhere"


async def test_reload_that_could_not_be_stored_is_told_and_already_in_force(home: House, caplog):
    caplog.set_level(logging.CRITICAL, "holdpoint.store")
    held = await home.broker.request(ask())
    done = await home.broker.request(ask(what="other"))
    await home.broker.vote(done.id, reviewer(), APPROVE, "")
    await home.store.close()
    with pytest.raises(StoreUnavailable):
        await home.broker.redecide(lambda _: Permit("sha256:b", (), (term(required=2),)))
    assert (await home.broker.get(held.id)).ask.terms == (term(required=2),)


@pytest.mark.failure("F-store-full")
async def test_spend_that_could_not_be_stored_is_no_spend(home: House):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "")
    await home.store.close()
    with pytest.raises(StoreUnavailable):
        await home.broker.spend(done.grant, wire="w", exchange="x-1")
    await home.restart()
    assert (await home.broker.spend(done.grant, wire="w", exchange="x-1")).state is GrantState.SPENT


async def test_outcome_of_what_never_was_is_a_fault(home: House):
    with pytest.raises(GatewayFault):
        await home.broker.settle("grt-none", GrantState.ANSWERED, exchange="x")


class Forgetful:
    """A store whose next answer gets lost on its way, after it did what it was asked."""

    def __init__(self, store) -> None:
        self.store = store
        self.loses = ""

        self.shared = store.shared
        self.listen = store.listen

    def __getattr__(self, name):
        work = getattr(self.store, name)

        async def call(*args, **more):
            found = await work(*args, **more)
            if name == self.loses:
                self.loses = ""
                raise StoreUnavailable("the answer was lost")
            return found

        return call


@pytest.fixture
async def forgetful(home: House):
    await home.broker.close()
    line = Forgetful(home.store)
    home.broker = Broker(line, home.clock, home.told)
    await home.broker.start()
    return line


@pytest.mark.failure("F-approvals-lost-answer")
async def test_approval_whose_answer_was_lost_is_found_without_anybody_asking(home: House, forgetful):
    held = await home.broker.request(ask())
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await asyncio.sleep(0)
    forgetful.loses = "resolve"
    with pytest.raises(StoreUnavailable):
        await home.broker.vote(held.id, reviewer(), APPROVE, "")
    await home.later(1)
    assert (await waiting).state is ApprovalState.APPROVED


@pytest.mark.failure("F-approvals-lost-answer")
@pytest.mark.parametrize("call", ["add_approval", "add_vote", "resolve", "set_reason", "set_dry_run", "replace_ask"])
async def test_change_whose_answer_was_lost_is_made_once(home: House, forgetful, call):
    alice, terms = reviewer("alice@example"), term(required=2)

    async def all_of_it():
        held = await home.broker.request(ask(terms))
        await home.broker.note_dry_run(held.id, DryRun(DryRunState.READY))
        await home.broker.give_reason(held.id, alice, "because")
        await home.broker.redecide(lambda _: Permit("sha256:b", (), (term(required=2, timeout=60),)))
        await home.broker.vote(held.id, reviewer(), APPROVE, "")
        return await home.broker.vote(held.id, reviewer("carol@example"), APPROVE, "")

    forgetful.loses = call
    with pytest.raises(StoreUnavailable):
        await all_of_it()
    with suppress(AlreadyResolved):
        await all_of_it()
    (done,) = await home.broker.list()
    assert (done.state, len(done.votes)) == (ApprovalState.APPROVED, 2)


@pytest.mark.failure("F-approvals-lost-answer")
async def test_spend_whose_answer_was_lost_is_given_back_because_nothing_was_sent(home: House, forgetful):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "")
    forgetful.loses = "spend"
    with pytest.raises(StoreUnavailable):
        await home.broker.spend(done.grant, wire="w", exchange="x-1")
    while (await home.store.grant(done.grant)).state is not GrantState.ACTIVE:
        await asyncio.sleep(0)
    assert (await home.broker.spend(done.grant, wire="w", exchange="x-2")).state is GrantState.SPENT
