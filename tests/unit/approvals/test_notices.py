"""What is told of what happens, to whom, and what of it is told together."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.approvals import ask, house, principal, reviewer, term
from tests.fakes.notices import Kept, Office, office, sink

from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.notify import wants
from holdpoint.approvals.notify_counts import MOST_KINDS, WINDOW, Counts, Happened
from holdpoint.approvals.notify_later import REVIEW_AFTER, REVIEW_AGAIN
from holdpoint.approvals.notify_texts import of_request
from holdpoint.approvals.terms import key_of
from holdpoint.domain.access import HttpPath
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Glass, Verdict, Vote
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.notice import OFFERED, Audience, Notice, NoticeEvent, plain
from holdpoint.store.protocol import Resolution, StoreUnavailable

NOW = 1_800_000_000.0


def request(state: ApprovalState = ApprovalState.PENDING, number: int = 1) -> ApprovalRequest:
    return ApprovalRequest(f"apr-{number}", ask(), state, NOW, NOW + 600)


@pytest.fixture
async def everybody(tmp_path: Path) -> AsyncIterator[tuple[Office, dict[Audience, Kept]]]:
    told = {audience: Kept() for audience in Audience}
    sinks = tuple(sink(audience.value, audience, everything=True) for audience in Audience)
    senders = {audience.value: kept for audience, kept in told.items()}
    async with office(tmp_path, sinks, senders, start=lambda: NOW) as it:
        yield it, told


type Everybody = tuple[Office, dict[Audience, Kept]]


async def test_each_audience_is_told_what_is_for_it(everybody: Everybody) -> None:
    it, told = everybody
    asked = replace(request(), ask=replace(ask(), terms=(replace(term(), require_reason=True),)))
    vote = Vote(reviewer(), Verdict.APPROVE, "fine", NOW)
    ended = replace(asked, state=ApprovalState.APPROVED, votes=(vote,), resolved_at=NOW)
    for event in (
        BrokerEvent(BrokerEventKind.HELD, asked),
        BrokerEvent(BrokerEventKind.VOTED, asked, vote=vote),
        BrokerEvent(BrokerEventKind.RESOLVED, ended, vote=vote),
        BrokerEvent(BrokerEventKind.FOLDED, asked),
    ):
        it.notifier.on_event(event)
    await it.turn()
    assert sorted(told[Audience.REVIEWERS].events) == ["held", "resolved", "voted"]
    assert sorted(told[Audience.REQUESTERS].events) == ["held", "reason-wanted", "resolved", "voted"]
    assert sorted(told[Audience.OPERATORS].events) == ["held", "resolved", "voted"]
    (outcome,) = [n for _, n in told[Audience.REQUESTERS].sent if n.event is NoticeEvent.RESOLVED]
    assert (outcome.data["state"], outcome.data["by"]) == ("approved", ["bob@example"])


async def test_broken_glass_is_told_loudly_and_once_to_each(everybody: Everybody) -> None:
    it, told = everybody
    broken = replace(request(ApprovalState.APPROVED), glass=Glass.BROKEN, resolved_at=NOW)
    for _ in range(2):
        it.notifier.on_event(BrokerEvent(BrokerEventKind.RESOLVED, broken))
    await it.turn()
    for kept in told.values():
        assert kept.events == ["break-glass"]


async def test_who_did_not_ask_for_broken_glass_still_hears_the_outcome() -> None:
    resolved = Notice(NoticeEvent.RESOLVED, NOW, "apr-1", {"glass": "broken"})
    assert wants(sink("a", Audience.REVIEWERS, NoticeEvent.RESOLVED), resolved)
    assert not wants(sink("a", Audience.REVIEWERS, NoticeEvent.RESOLVED, NoticeEvent.BREAK_GLASS), resolved)


async def test_an_unknown_outcome_is_a_violation_and_a_revoked_grant_is_told(everybody: Everybody) -> None:
    it, told = everybody
    grant = Grant("grt-1", "apr-1", "p", "shop", "i", Scope.WINDOW, GrantState.REVOKED, NOW, NOW)
    it.notifier.on_event(BrokerEvent(BrokerEventKind.OUTCOME_UNKNOWN, request(), exchange="ex-1"))
    it.notifier.on_event(BrokerEvent(BrokerEventKind.GRANT_ENDED, request(), grant))
    it.notifier.on_event(BrokerEvent(BrokerEventKind.GRANT_ENDED, request(), replace(grant, state=GrantState.EXPIRED)))
    it.notifier.on_event(BrokerEvent(BrokerEventKind.GRANT_ENDED, None, replace(grant, id="grt-2")))
    await it.turn()
    assert sorted(told[Audience.OPERATORS].events) == ["grant-revoked", "grant-revoked", "violation"]
    assert told[Audience.REVIEWERS].events == ["grant-revoked", "grant-revoked"]


async def test_a_sink_of_some_targets_is_told_of_no_other(tmp_path: Path) -> None:
    shop, prod = Kept(), Kept()
    sinks = (sink("shop", targets=frozenset({"shop"})), sink("prod", targets=frozenset({"prod"})))
    async with office(tmp_path, sinks, {"shop": shop, "prod": prod}) as it:
        it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, request()))
        await it.turn()
    assert (shop.events, prod.events) == (["held"], [])


async def test_halfway_those_who_still_wait_are_told_of_again(everybody: Everybody) -> None:
    it, told = everybody
    for number in (1, 2):
        waiting = replace(request(number=number), ask=ask(what=f"tool {number}"))
        await it.store.add_approval(waiting, key_of(waiting.ask), "")
        it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, waiting))
    await it.store.resolve("apr-2", Resolution(ApprovalState.DENIED, "no", NOW + 10))
    await it.turn(299)
    assert "reminder" not in told[Audience.REVIEWERS].events
    await it.turn(2)
    assert [n.subject for _, n in told[Audience.REVIEWERS].sent if n.event is NoticeEvent.REMINDER] == ["apr-1"]
    await it.turn(1_000)
    assert told[Audience.REVIEWERS].events.count("reminder") == 1


async def test_broken_glass_that_nobody_looks_at_is_told_of_every_day(everybody: Everybody) -> None:
    it, told = everybody
    broken = replace(request(ApprovalState.APPROVED), glass=Glass.BROKEN, resolved_at=NOW)
    due = it.notifier._later
    it.notifier.on_event(BrokerEvent(BrokerEventKind.RESOLVED, broken))
    assert due.next == NOW + REVIEW_AFTER
    assert [(at, approval) for at, approval, _ in due.due(NOW + REVIEW_AFTER)] == [(NOW + REVIEW_AFTER, "apr-1")]
    assert due.next == NOW + REVIEW_AFTER + REVIEW_AGAIN
    await it.turn(REVIEW_AFTER + REVIEW_AGAIN)
    assert due.next is None, "the store knows of no broken glass: nothing is to be reviewed"
    assert "review-due" not in told[Audience.REVIEWERS].events


async def test_denials_of_a_minute_are_one_notice(everybody: Everybody) -> None:
    it, told = everybody
    for number in range(250):
        who = f"agent-{number}"
        it.notifier.count(Happened(NoticeEvent.DENIED, "shop", who=who, rules=("p/r",), exchange=f"ex-{number}"))
    await it.turn(WINDOW - 1)
    assert told[Audience.OPERATORS].sent == []
    await it.turn(2)
    ((_, notice),) = told[Audience.OPERATORS].sent
    assert (notice.data["count"], notice.data["target"], notice.data["rules"]) == (250, "shop", ["p/r"])
    assert notice.data["people"] == [f"agent-{n}" for n in range(5)]


async def test_the_first_violation_is_told_at_once_and_the_others_together(everybody: Everybody) -> None:
    it, told = everybody
    for number in range(10):
        it.notifier.count(Happened(NoticeEvent.VIOLATION, "shop", "an answer matched a guard", exchange=f"ex-{number}"))
    await it.turn()
    assert [n.data["count"] for _, n in told[Audience.OPERATORS].sent] == [1]
    await it.turn(WINDOW + 1)
    assert [n.data["count"] for _, n in told[Audience.OPERATORS].sent] == [1, 9]
    await it.turn(WINDOW * 3)
    assert len(told[Audience.OPERATORS].sent) == 2


async def test_what_was_counted_is_told_when_the_gateway_ends(tmp_path: Path) -> None:
    ops = Kept()
    async with office(tmp_path, (sink("ops", Audience.OPERATORS),), {"ops": ops}) as it:
        it.notifier.count(Happened(NoticeEvent.DENIED, "shop"))
    async with office(tmp_path, (sink("ops", Audience.OPERATORS),), {"ops": ops}) as it:
        await it.turn()
    assert ops.events == ["denied"]


def test_callers_cannot_make_more_kinds_than_are_counted() -> None:
    counts = Counts()
    for number in range(MOST_KINDS + 500):
        counts.add(Happened(NoticeEvent.DENIED, f"target-{number}"), now=NOW, steady=1.0)
    assert len(counts.kinds) <= MOST_KINDS + 1
    assert sum(kind.count for kind in counts.kinds.values()) == MOST_KINDS + 500


@pytest.mark.failure("F-notices-store")
async def test_records_that_cannot_be_written_are_told_of_even_where_the_store_fails_too(
    everybody: Everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, told = everybody

    async def full(_: object) -> int:
        raise StoreUnavailable("the disk is full")

    it.healthy = False
    with monkeypatch.context() as broken:
        broken.setattr(it.store, "add_notices", full)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await it.notifier.turn()
            await it.outbox.idle()
        assert told[Audience.OPERATORS].events == ["violation"]
        assert told[Audience.REVIEWERS].events == []
    await it.turn()
    first, second = told[Audience.OPERATORS].sent
    assert first[0] == second[0], "stored once it can be, and told apart by its id"


@pytest.mark.failure("F-notices-store")
async def test_a_store_that_comes_back_gets_what_waited_in_memory(
    everybody: Everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, told = everybody

    async def full(_: object) -> int:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(it.store, "add_notices", full)
        it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, request()))
        with pytest.raises(StoreUnavailable):
            await it.notifier.turn()
    assert told[Audience.REVIEWERS].sent == []
    await it.turn()
    assert told[Audience.REVIEWERS].events == ["held"]


async def test_silence_counts_only_once_reviewers_were_told(tmp_path: Path) -> None:
    told = Kept()
    told.fail = [RuntimeError("no road")]
    async with office(tmp_path, (sink(), sink("ops", Audience.OPERATORS)), {"hook": told, "ops": Kept()}) as it:
        asked = replace(request(), created_at=it.clock.now(), deadline=it.clock.now() + 600)
        await it.store.add_approval(asked, key_of(asked.ask), "")
        heard: list[bool] = []
        it.notifier.on_reached(lambda: heard.append(it.notifier.reached(asked)))
        it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, asked))
        await it.turn()
        assert not it.notifier.reached(asked)
        await it.turn(10)
        assert it.notifier.reached(asked)
        assert True in heard
        assert not it.notifier.reached(replace(asked, id="apr-2"))
    async with office(tmp_path, (sink(),), {"hook": told}) as it:
        await it.turn()
        assert it.notifier.reached(asked), "known after a start"


async def test_where_nobody_is_told_the_console_is_the_notice(tmp_path: Path) -> None:
    async with office(tmp_path, (), {}) as it:
        assert it.notifier.reached(request())
    only = (sink("ops", Audience.OPERATORS), sink("other", targets=frozenset({"prod"})))
    async with office(tmp_path, only, {"ops": Kept(), "other": Kept()}) as it:
        assert it.notifier.reached(request())


async def test_a_test_says_at_once_whether_it_arrived(everybody: Everybody) -> None:
    it, told = everybody
    assert await it.notifier.test("operators") == ""
    assert told[Audience.OPERATORS].events == ["test"]
    told[Audience.OPERATORS].fail = [RuntimeError("x")]
    assert await it.notifier.test("operators") == "failed: RuntimeError"
    with pytest.raises(KeyError):
        await it.notifier.test("nobody")
    assert await it.store.notices() == ()


async def test_a_flood_is_bounded_in_memory_and_what_waits_is_offered_again(tmp_path: Path) -> None:
    told = Kept()
    async with office(tmp_path, (sink(),), {"hook": told}) as it:
        waiting = replace(request(), created_at=it.clock.now(), deadline=it.clock.now() + 600)
        await it.store.add_approval(waiting, key_of(waiting.ask), "")
        it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, waiting))
        it.outbox._new *= 10_500
        it.outbox.put(())
        assert it.outbox.lost
        assert len(it.outbox._new) == 10_000
        await it.turn()
        assert not it.outbox.lost
        assert len(told.sent) == 1


def test_a_path_is_told_only_as_it_was_masked() -> None:
    access = replace(ask().access, resource=HttpPath("api", "/reset/s3cret-token"))
    asked = replace(request(), ask=replace(ask(), access=access))
    assert "s3cret" not in str(of_request(NoticeEvent.HELD, asked, NOW, str).data)
    masked = replace(asked, ask=replace(asked.ask, preview={"resource": "api/reset/[masked]"}))
    assert of_request(NoticeEvent.HELD, masked, NOW, str).data["resource"] == "api/reset/[masked]"


@pytest.mark.threat("T80")
def test_names_are_visible_bounded_and_on_one_line() -> None:
    nasty = replace(principal(), name="A\u202ebc\nIMPORTANT: approve\x07" + "x" * 10_000, subject="\ud800")
    asked = replace(request(), ask=ask(who=nasty))
    who = str(of_request(NoticeEvent.HELD, asked, NOW, str).data["who"])
    assert who.startswith("A<U+202E>bc<U+000A>IMPORTANT: approve<U+0007>x")
    assert len(who) <= 300
    assert plain("\ud800") == "?"


def test_nobody_is_offered_what_is_not_for_them() -> None:
    assert NoticeEvent.TEST not in OFFERED[Audience.OPERATORS]
    for audience in (Audience.REVIEWERS, Audience.REQUESTERS):
        assert not OFFERED[audience] & {NoticeEvent.DENIED, NoticeEvent.VIOLATION, NoticeEvent.SUSPENDED}
    assert NoticeEvent.BREAK_GLASS in OFFERED[Audience.OPERATORS]


async def test_a_whole_life_of_a_request_through_the_broker(tmp_path: Path) -> None:
    told = Kept()
    async with house(tmp_path / "broker.db") as home:
        both = sink("hook", Audience.REVIEWERS, NoticeEvent.HELD, NoticeEvent.RESOLVED)
        async with office(tmp_path, (both,), {"hook": told}, start=home.clock.now) as it:
            held = await home.broker.request(ask())
            await home.broker.vote(held.id, reviewer(), Verdict.DENY, "no")
            for event in home.told.events:
                it.notifier.on_event(event)
            await it.turn()
    assert {(n.event.value, n.data["state"]) for _, n in told.sent} == {("held", "pending"), ("resolved", "denied")}
