"""What every store does, whatever database is behind it."""

import asyncio
from dataclasses import replace

import pytest
from tests.fakes.approvals import ask, reviewer

from holdpoint.approvals.terms import key_of
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Verdict, Vote
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.store import other_rows
from holdpoint.store.protocol import RefusalRecord, Resolution, StaleWrite
from holdpoint.store.rows import Connection
from holdpoint.store.sql import SqlStore

NOW = 1_800_000_000.0


def held(number: int = 1, **more) -> ApprovalRequest:
    return ApprovalRequest(f"apr-{number}", ask(**more), ApprovalState.PENDING, NOW, NOW + 600)


def grant_of(request: ApprovalRequest, scope: Scope = Scope.REQUEST) -> Grant:
    key = key_of(request.ask)
    return Grant(
        f"grt-{request.id}",
        request.id,
        key.principal,
        key.target,
        key.intent,
        scope,
        GrantState.ACTIVE,
        NOW,
        NOW + 60,
    )


async def add(store: SqlStore, request: ApprovalRequest) -> ApprovalRequest:
    await store.add_approval(request, key_of(request.ask), "")
    return request


async def approve(store: SqlStore, request: ApprovalRequest, scope: Scope = Scope.REQUEST) -> Grant:
    grant = grant_of(request, scope)
    vote = Vote(reviewer(), Verdict.APPROVE, "", NOW)
    await store.resolve(request.id, Resolution(ApprovalState.APPROVED, "ok", NOW), vote=vote, grant=grant)
    return grant


async def test_approval_comes_back_equal(store):
    request = await add(store, held())
    assert await store.approval("apr-1") == request
    assert await store.pending() == (request,)
    assert await store.approval("apr-2") is None


async def test_second_pending_request_of_the_same_key_is_refused(store):
    await add(store, held(1))
    with pytest.raises(StaleWrite):
        await add(store, held(2))
    await store.resolve("apr-1", Resolution(ApprovalState.DENIED, "no", NOW))
    await add(store, held(2))


async def test_resolution_is_final(store):
    request = await add(store, held())
    await store.resolve(request.id, Resolution(ApprovalState.DENIED, "no", NOW))
    for attempt in [
        approve(store, request),
        store.resolve(request.id, Resolution(ApprovalState.EXPIRED, "late", NOW)),
        store.add_vote(request.id, Vote(reviewer(), Verdict.APPROVE, "", NOW)),
        store.replace_ask(request.id, request.ask, NOW),
    ]:
        with pytest.raises(StaleWrite) as caught:
            await attempt
        assert caught.value.found == "denied"
    assert await store.grant(f"grt-{request.id}") is None
    assert (await store.approval(request.id)).votes == ()


async def test_denied_request_forgets_its_arguments_and_keeps_its_preview(store):
    request = await add(store, held())
    await store.resolve(request.id, Resolution(ApprovalState.DENIED, "no", NOW))
    found = await store.approval(request.id)
    assert (found.ask.access.arguments, found.ask.preview) == ({}, request.ask.preview)


@pytest.mark.parametrize("state", [s for s in ApprovalState if s is not ApprovalState.APPROVED])
async def test_only_an_approval_makes_a_grant(store, state):
    request = await add(store, held())
    with pytest.raises(ValueError, match=r"grant|pending"):
        await store.resolve(request.id, Resolution(state, "", NOW), grant=grant_of(request))
    assert (await store.approval(request.id)).state is ApprovalState.PENDING


async def test_approval_without_a_grant_is_refused(store):
    request = await add(store, held())
    with pytest.raises(ValueError, match="makes a grant"):
        await store.resolve(request.id, Resolution(ApprovalState.APPROVED, "", NOW))


async def test_operation_that_fails_takes_no_other_of_its_commit_along(store):
    def broken(connection: Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half', 'done', 0)")
        raise KeyError("broken")

    writer = store._writer
    results = await asyncio.gather(
        store.set_note("a", "1"), writer.run(broken), store.set_note("b", "2"), return_exceptions=True
    )
    assert [type(r) for r in results] == [type(None), KeyError, type(None)]
    assert (await store.note("a"), await store.note("half"), await store.note("b")) == ("1", None, "2")


async def test_cancelled_waiter_does_not_stop_the_thread_or_the_work(store):
    waiting = asyncio.ensure_future(store.set_note("a", "1"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await store.note("a") == "1"


async def test_of_racing_spends_one_wins(store):
    grant = await approve(store, await add(store, held()))
    spends = [store.spend(grant.id, wire="w", exchange=f"x{i}", at=NOW) for i in range(10)]
    results = await asyncio.gather(*spends, return_exceptions=True)
    assert sum(isinstance(r, Grant) for r in results) == 1
    assert all(r.found == "spent" for r in results if isinstance(r, StaleWrite))
    assert len(await store.open_spends()) == 1


async def test_refusal_is_found_by_id(store):
    record = RefusalRecord("ref-1", NOW, "denied", "no", "rule x", "x-1", "p", "shop", ("prod/a", "prod/b"))
    await store.add_refusal(record)
    assert await store.refusal("ref-1") == record
    assert await store.refusal("ref-2") is None


async def test_refusal_of_hostile_text_is_stored_spelled_out_and_bounded(store):
    await store.add_refusal(RefusalRecord("ref-1", NOW, "denied", "\ud800" + "x" * 10_000, rules=("\udfff",)))
    found = await store.refusal("ref-1")
    assert found.public.startswith("\\ud800xxx")
    assert len(found.public) < other_rows.MAX_TEXT + 10
    assert found.rules == ("\\udfff",)
    assert await store.refusal("\ud800") is None


async def test_refusals_are_kept_in_bounded_number_and_time(store, clock, monkeypatch):
    monkeypatch.setattr(other_rows, "MAX_REFUSALS", 10)
    for i in range(25):
        assert store.submit_refusal(RefusalRecord(f"ref-{i}", clock.now(), "denied", "no"))
    kept = [i for i in range(25) if await store.refusal(f"ref-{i}")]
    assert kept == list(range(15, 25))
    clock.advance(other_rows.MAX_AGE + 1)
    await store.add_refusal(RefusalRecord("ref-new", clock.now(), "denied", "no"))
    assert [i for i in range(25) if await store.refusal(f"ref-{i}")] == []


async def test_old_requests_are_forgotten_once_they_can_have_no_effect(store):
    denied, pending, active, spent, window = [await add(store, held(i, what=f"w{i}")) for i in range(5)]
    await store.resolve(denied.id, Resolution(ApprovalState.DENIED, "no", NOW))
    for request, scope in ((active, Scope.REQUEST), (spent, Scope.REQUEST), (window, Scope.WINDOW)):
        await approve(store, request, scope)
    for request in (spent, window):
        await store.spend(f"grt-{request.id}", wire="w", exchange="x", at=NOW)
    await store.end_grant(f"grt-{window.id}", GrantState.EXPIRED)
    assert await store.forget(NOW) == 0
    assert await store.forget(NOW + 1) == 1
    assert [r.id for r in await store.approvals()] == [r.id for r in (window, spent, active, pending)]
    await store.settle(f"grt-{spent.id}", "x", GrantState.ANSWERED, NOW)
    await store.settle(f"grt-{window.id}", "x", GrantState.UNKNOWN, NOW)
    assert await store.forget(NOW + 1) == 2
    assert await store.grant(f"grt-{spent.id}") is None


async def test_notes_are_replaced(store):
    await store.set_note("bundle", "a")
    await store.set_note("bundle", "b")
    assert (await store.note("bundle"), await store.note("none")) == ("b", None)


async def test_list_of_terms_replaced_comes_back(store):
    request = await add(store, held())
    changed = replace(request.ask, bundle="sha256:new")
    await store.replace_ask(request.id, changed, NOW + 5)
    found = await store.approval(request.id)
    assert (found.ask, found.deadline) == (changed, NOW + 5)


async def test_everything_is_there_after_reopening(make, clock):
    for step in range(2):
        store = make(clock)
        await store.open()
        if step == 0:
            request = await add(store, held())
            await approve(store, request)
        else:
            found = await store.approval("apr-1")
            assert (found.state, found.ask, len(found.votes)) == (ApprovalState.APPROVED, request.ask, 1)
            assert await store.active_grants() == (grant_of(request),)
        await store.close()
