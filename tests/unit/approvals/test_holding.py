import asyncio
from dataclasses import replace

import pytest
from tests.fakes.approvals import House, ask, house, principal, reviewer, term

from holdpoint.approvals.deciding import TAKEN_BACK
from holdpoint.approvals.errors import AlreadyResolved, NotFound
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.domain.approval import ApprovalState, Verdict
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import GrantState
from holdpoint.domain.refusal import GatewayFault


async def test_retry_folds_into_the_pending_request(home: House):
    first = await home.broker.request(ask())
    again = await home.broker.request(ask(exchange="x-2"))
    assert again.id == first.id
    assert home.told.kinds == [BrokerEventKind.HELD, BrokerEventKind.FOLDED]
    assert home.told.events[1].exchange == "x-2"


async def test_many_at_once_make_one_request(home: House):
    found = await asyncio.gather(*(home.broker.request(ask(exchange=f"x-{i}")) for i in range(20)))
    assert len({r.id for r in found}) == 1
    assert len(await home.broker.list()) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ask(what="destroy"), id="intent"),
        pytest.param(ask(who=principal("eve@example")), id="principal"),
        pytest.param(ask(who=principal(agent="claude")), id="agent of the same person"),
    ],
)
async def test_another_request_does_not_fold(home: House, other):
    assert (await home.broker.request(ask())).id != (await home.broker.request(other)).id


async def test_session_terms_fold_only_within_the_session(home: House):
    terms = term(scope=Scope.SESSION, duration=900)
    one, two = [await home.broker.request(ask(terms, session=s)) for s in ("s1", "s2")]
    assert one.id != two.id
    assert (await home.broker.request(ask(terms, session="s1"))).id == one.id


async def test_retry_after_approval_finds_the_grant(home: House):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    again = await home.broker.request(ask())
    assert (again.id, again.state, again.grant) == (held.id, ApprovalState.APPROVED, done.grant)


async def test_fold_with_stricter_terms_tightens_the_pending_request(home: House):
    held = await home.broker.request(ask(term(required=1, timeout=600)))
    again = await home.broker.request(ask(term(required=2, timeout=60)))
    assert (again.id, again.ask.terms, again.deadline) == (
        held.id,
        (term(required=2, timeout=60),),
        held.created_at + 60,
    )
    assert (await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")).state is ApprovalState.PENDING


async def test_fold_adds_to_those_who_count_as_requester(home: House):
    held = await home.broker.request(ask(who=principal(None, owners=frozenset({"o1"}))))
    again = await home.broker.request(ask(who=principal(None, owners=frozenset({"bob@example"}))))
    assert again.id == held.id
    assert again.ask.access.principal.requesters == {"o1", "bob@example"}


async def test_hold_without_terms_is_a_fault(home: House):
    with pytest.raises(GatewayFault):
        await home.broker.request(replace(ask(), terms=()))


async def test_wait_returns_when_decided(home: House):
    held = await home.broker.request(ask())
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await asyncio.sleep(0)
    assert (await home.broker.get(held.id)).waiters == 1
    assert [r.waiters for r in await home.broker.list()] == [1]
    await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    assert (await waiting).state is ApprovalState.APPROVED


async def test_wait_that_times_out_returns_what_is_pending(home: House):
    held = await home.broker.request(ask())
    after = await home.broker.wait(held.id, timeout=0)
    assert (after.state, (await home.broker.get(held.id)).waiters) == (ApprovalState.PENDING, 0)


@pytest.mark.failure("F-client-leaves")
async def test_client_that_leaves_ends_its_wait_and_not_the_request(home: House):
    held = await home.broker.request(ask())
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    after = await home.broker.get(held.id)
    assert (after.state, after.waiters) == (ApprovalState.PENDING, 0)


async def test_client_that_leaves_while_it_is_held_leaves_it_held(home: House):
    asking = asyncio.ensure_future(home.broker.request(ask()))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await home.broker.request(ask())).state is ApprovalState.PENDING
    assert len(await home.broker.list()) == 1


async def test_wait_for_nothing_is_refused(home: House):
    with pytest.raises(NotFound):
        await home.broker.wait("apr-none", timeout=0)


async def test_wait_for_what_has_ended_returns_at_once(home: House):
    held = await home.broker.request(ask())
    await home.broker.vote(held.id, reviewer(), Verdict.DENY, "no")
    assert (await home.broker.wait(held.id, timeout=None)).state is ApprovalState.DENIED


async def test_closing_lets_waiters_go_with_the_request_pending(home: House):
    held = await home.broker.request(ask())
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await asyncio.sleep(0)
    await home.broker.close()
    assert (await waiting).state is ApprovalState.PENDING


@pytest.mark.failure("F-silence")
async def test_deadline_means_denied_and_wakes_the_waiter(home: House):
    held = await home.broker.request(ask(term(timeout=600), term(rule="b", timeout=60)))
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await home.later(59.5)
    assert not waiting.done()
    await home.later(0.5)
    after = await waiting
    assert (after.state, after.resolution, after.grant) == (
        ApprovalState.EXPIRED,
        "nobody answered before the deadline",
        "",
    )


@pytest.mark.failure("F-clock")
async def test_deadline_ignores_a_wall_clock_that_jumps(home: House):
    held = await home.broker.request(ask(term(timeout=60)))
    home.clock.jump(10_000)
    await home.later(59)
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
    home.clock.jump(-20_000)
    await home.later(1)
    assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED


async def test_new_request_after_expiry_is_another_one(home: House):
    held = await home.broker.request(ask(term(timeout=60)))
    home.clock.advance(61)
    assert (await home.broker.request(ask(term(timeout=60)))).id != held.id


async def test_list_is_newest_first_by_state_and_page(home: House):
    ids = [(await home.broker.request(ask(what=f"w{i}"))).id for i in range(4)]
    await home.broker.vote(ids[1], reviewer(), Verdict.DENY, "")
    assert [r.id for r in await home.broker.list()] == ids[::-1]
    assert [r.id for r in await home.broker.list(limit=1, before=ids[2])] == [ids[1]]
    assert [r.id for r in await home.broker.list(states=frozenset({ApprovalState.DENIED}))] == [ids[1]]
    assert await home.broker.list(states=frozenset()) == ()


async def test_change_is_noticed_by_version(home: House):
    before = home.broker.version
    watching = asyncio.ensure_future(home.broker.wait_change(before, timeout=None))
    await asyncio.sleep(0)
    assert not watching.done()
    await home.broker.request(ask())
    assert await watching > before
    assert await home.broker.wait_change(home.broker.version, timeout=0) == home.broker.version
    assert await home.broker.wait_change(before - 5, timeout=None) == home.broker.version


async def test_event_that_cannot_be_told_does_not_undo_what_happened(tmp_path, caplog):
    def broken(event: BrokerEvent) -> None:
        raise OSError(f"no room for {event.kind}")

    async with house(tmp_path / "s.db") as home:
        home.broker._sink = broken
        held = await home.broker.request(ask())
        assert (await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")).state is ApprovalState.APPROVED
        assert "could not be told" in caplog.text


async def test_waiter_wakes_only_after_the_event_is_told(home: House):
    held = await home.broker.request(ask())
    gate = asyncio.Event()

    async def slow(_: BrokerEvent) -> None:
        await gate.wait()

    home.broker._sink = slow
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    voting = asyncio.ensure_future(home.broker.vote(held.id, reviewer(), Verdict.APPROVE, ""))
    while (await home.store.approval(held.id)).state is ApprovalState.PENDING:
        pass
    assert not waiting.done()
    gate.set()
    assert (await waiting).state is ApprovalState.APPROVED
    await voting


@pytest.mark.failure("F-console-down")
async def test_silence_is_consent_only_while_reviewers_can_be_reached(tmp_path):
    up = False
    async with house(tmp_path / "s.db", lambda: up) as home:
        held = await home.broker.request(ask(term(auto=30)))
        await home.later(45)
        assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
        up = True
        await home.later(30)
        await home.later(29)
        assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
        await home.later(31)
        after = await home.broker.get(held.id)
        assert (after.state, after.votes) == (ApprovalState.APPROVED, ())
        assert "nobody objected" in after.resolution
        assert (await home.store.grant(after.grant)).state is GrantState.ACTIVE


async def test_silence_starts_anew_when_reviewers_were_out_of_reach(tmp_path):
    up = True
    async with house(tmp_path / "s.db", lambda: up) as home:
        held = await home.broker.request(ask(term(auto=30)))
        up = False
        await home.later(20)
        up = True
        await home.later(11)
        assert (await home.broker.get(held.id)).state is ApprovalState.PENDING


@pytest.mark.parametrize(
    ("terms", "who"),
    [
        pytest.param((term(auto=30), term(rule="b")), principal(), id="another term has none"),
        pytest.param((term(auto=30, reviewers=frozenset()),), principal(), id="nobody could object"),
        pytest.param((term(auto=30, required=0),), principal(), id="asks for nobody"),
        pytest.param((term(auto=30),), principal(None), id="nobody known behind the requester"),
    ],
)
async def test_silence_is_no_consent_where(home: House, terms, who):
    held = await home.broker.request(ask(*terms, who=who))
    for _ in range(5):
        await home.later(31)
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING


@pytest.mark.failure("F-console-down")
async def test_broken_reachability_counts_as_out_of_reach(tmp_path, caplog):
    def broken() -> bool:
        raise OSError("no console")

    async with house(tmp_path / "s.db", broken) as home:
        held = await home.broker.request(ask(term(auto=1)))
        await home.later(5)
        assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
    assert "silence does not count" in caplog.text


async def test_timer_fires_by_itself_on_the_machines_clock(tmp_path):
    async with house(tmp_path / "s.db") as home:
        held = await home.broker.request(ask(term(timeout=600)))
        home.clock.advance(599.99)
        home.broker._deadlines.wake.set()  # as a new request does: the timer looks again
        assert not (await home.broker.wait(held.id, timeout=0)).resolution
        while (await home.broker.wait(held.id, timeout=0.05)).state is ApprovalState.PENDING:
            home.clock.advance(0.01)
        assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED


async def test_a_requester_takes_back_what_nobody_waits_for(home: House):
    held = await home.broker.request(ask())
    taken = await home.broker.withdraw(held.id)
    assert (taken.state, taken.resolution, taken.grant) == (ApprovalState.WITHDRAWN, TAKEN_BACK, "")
    assert home.told.events[-1].kind is BrokerEventKind.RESOLVED
    with pytest.raises(AlreadyResolved):
        await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    # Asked again it is a new request.
    assert (await home.broker.request(ask())).id != held.id


async def test_a_requester_takes_nothing_from_another_of_his_callers(home: House):
    held = await home.broker.request(ask())
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await asyncio.sleep(0)
    assert (await home.broker.withdraw(held.id)).state is ApprovalState.PENDING
    await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    assert (await waiting).state is ApprovalState.APPROVED


async def test_what_was_decided_cannot_be_taken_back(home: House):
    held = await home.broker.request(ask())
    await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    with pytest.raises(AlreadyResolved) as ended:
        await home.broker.withdraw(held.id)
    assert ended.value.request.state is ApprovalState.APPROVED
    with pytest.raises(NotFound):
        await home.broker.withdraw("apr-none")
