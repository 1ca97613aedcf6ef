"""The outbox: each notice is taken by one at a time, and none is lost."""

from dataclasses import replace

import pytest
from tests.fakes.approvals import ask, principal

from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.store import notice_rows
from holdpoint.store.protocol import Key, NoticeRow, Resolution
from holdpoint.store.sqlite import SqliteStore

DAY = 86_400.0


def notice(number: int = 1, *, sink: str = "hook", at: float = 100.0, approval: str = "apr-1") -> NoticeRow:
    return NoticeRow(f"ntc-{number}", sink, "held", approval, "{}", created_at=at, due_at=at)


async def claimed(store: SqliteStore, now: float, *, sink: str = "hook", limit: int = 10) -> list[str]:
    return [r.id for r in await store.claim_notices(sink, now=now, until=now + 60, limit=limit)]


async def test_the_same_notice_is_stored_once(store: SqliteStore) -> None:
    assert await store.add_notices([notice(1), notice(2)]) == 2
    assert await store.add_notices([replace(notice(1), body="other"), notice(3)]) == 1
    assert {r.body for r in await store.notices()} == {"{}"}
    assert [r.id for r in await store.notices()] == ["ntc-3", "ntc-2", "ntc-1"]


async def test_what_is_due_is_taken_by_one_alone_the_oldest_first(store: SqliteStore) -> None:
    await store.add_notices([notice(2, at=101), notice(1, at=100), notice(3, at=200), notice(4, sink="chat")])
    assert await claimed(store, 150) == ["ntc-1", "ntc-2"]
    assert await claimed(store, 150) == []


async def test_no_more_are_taken_than_were_asked_for(store: SqliteStore) -> None:
    await store.add_notices([notice(n) for n in range(1, 6)])
    assert len(await claimed(store, 150, limit=2)) == 2
    assert len(await claimed(store, 150)) == 3


async def test_what_somebody_took_and_never_settled_is_taken_again(store: SqliteStore) -> None:
    await store.add_notices([notice()])
    (first,) = await store.claim_notices("hook", now=100, until=160, limit=1)
    (second,) = await store.claim_notices("hook", now=160, until=220, limit=1)
    assert (first.attempts, second.attempts) == (1, 2)
    assert not await store.settle_notice(replace(first, state="delivered"))
    assert await store.settle_notice(replace(second, state="delivered"))
    assert not await store.settle_notice(replace(second, state="dead"))


async def test_a_retry_waits_for_its_time(store: SqliteStore) -> None:
    await store.add_notices([notice()])
    (taken,) = await store.claim_notices("hook", now=100, until=160, limit=1)
    assert await store.settle_notice(replace(taken, due_at=130.0, error="answered 500"))
    assert await store.notices_due() == {"hook": 130.0}
    assert await claimed(store, 129) == []
    assert await claimed(store, 130) == ["ntc-1"]


async def test_a_dead_one_can_be_tried_from_the_start_and_no_other(store: SqliteStore) -> None:
    await store.add_notices([notice(1), notice(2)])
    taken = await store.claim_notices("hook", now=100, until=160, limit=1)
    assert await store.settle_notice(replace(taken[0], state="dead", error="gone"))
    assert not await store.retry_notice("ntc-2", now=500)
    assert await store.retry_notice("ntc-1", now=500)
    (again,) = [r for r in await store.notices() if r.id == "ntc-1"]
    assert (again.state, again.attempts, again.error, again.created_at) == ("due", 0, "", 500.0)


async def test_what_is_too_old_is_given_up_and_then_forgotten(store: SqliteStore) -> None:
    await store.add_notices([notice(1, at=100), notice(2, at=100 + DAY)])
    assert [r.id for r in await store.sweep_notices(now=200 + DAY, give_up=DAY, keep=30 * DAY)] == ["ntc-1"]
    assert await store.count_notices() == {"dead": 1, "due": 1}
    assert (await store.notices(state="dead"))[0].error == notice_rows.TOO_OLD
    await store.sweep_notices(now=101 + 30 * DAY, give_up=DAY, keep=30 * DAY)
    assert [r.id for r in await store.notices()] == ["ntc-2"]


async def test_what_somebody_delivers_right_now_is_not_given_up(store: SqliteStore) -> None:
    await store.add_notices([notice(1)])
    assert await claimed(store, 100 + DAY) == ["ntc-1"]
    assert await store.sweep_notices(now=110 + DAY, give_up=DAY, keep=30 * DAY) == ()


async def test_no_sink_has_more_waiting_than_is_bearable(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice_rows, "MOST_DUE", 3)
    await store.add_notices([notice(n) for n in range(1, 6)] + [notice(9, sink="chat")])
    assert await store.count_notices() == {"dead": 2, "due": 4}
    assert {r.error for r in await store.notices(state="dead")} == {notice_rows.TOO_MANY}


async def held_by(store: SqliteStore, approval: str, person: str) -> None:
    asked = ask(who=replace(principal(), person=person), what=approval)
    request = ApprovalRequest(approval, asked, ApprovalState.PENDING, 100.0, 700.0)
    await store.add_approval(request, Key("p", "", "shop", asked.intent), "")


@pytest.mark.threat("T80")
async def test_who_asks_for_much_keeps_nobody_else_from_being_told_of(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice_rows, "MOST_DUE_EACH", 3)
    await held_by(store, "apr-1", "mallory@corp.example")
    await held_by(store, "apr-2", "alice@corp.example")
    await store.add_notices([notice(n) for n in range(1, 6)])
    await store.add_notices([notice(6, approval="apr-2", at=200), notice(7, at=200), notice(8, sink="chat", at=200)])
    dead = {r.id: r.error for r in await store.notices(state="dead")}
    assert dead == dict.fromkeys(("ntc-4", "ntc-5", "ntc-7"), notice_rows.TOO_MANY_EACH)
    assert await claimed(store, 300, limit=2) == ["ntc-1", "ntc-6"]
    assert await claimed(store, 300) == ["ntc-2", "ntc-3"]


@pytest.mark.threat("T80")
async def test_broken_glass_is_told_before_all_that_was_asked_for_beside_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice_rows, "MOST_DUE_EACH", 3)
    await held_by(store, "apr-1", "mallory@corp.example")
    await store.add_notices([notice(n) for n in range(1, 9)])
    await store.add_notices([replace(notice(9, at=200), kind="break-glass")])
    assert await claimed(store, 300, limit=1) == ["ntc-9"]


async def test_which_pending_requests_were_told_of_is_known(store: SqliteStore) -> None:
    for number, what in enumerate(("deploy", "delete"), start=1):
        asked = ask(what=what)
        request = ApprovalRequest(f"apr-{number}", asked, ApprovalState.PENDING, 100.0, 700.0)
        await store.add_approval(request, Key("p", "", "shop", asked.intent), "")
    rows = [notice(1), notice(2, sink="chat"), notice(3, approval="apr-2"), notice(4, sink="mail")]
    await store.add_notices(rows)
    for sink in ("hook", "chat"):
        for row in await store.claim_notices(sink, now=100, until=160, limit=9):
            await store.settle_notice(replace(row, state="delivered"))
    assert await store.notices_delivered("held") == {"apr-1": {"hook", "chat"}, "apr-2": {"hook"}}
    await store.resolve("apr-2", Resolution(ApprovalState.EXPIRED, "", 200.0))
    assert await store.notices_delivered("held") == {"apr-1": {"hook", "chat"}}
    assert await store.notices_delivered("reminder") == {}
