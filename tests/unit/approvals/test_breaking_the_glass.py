"""Who may open what he asked for without reviewers, what that opens, and that it is looked at before the next one."""

import asyncio
from dataclasses import replace

import pytest
from tests.fakes.approvals import House, ask, glass, principal, reviewer, term

from holdpoint.approvals.errors import AlreadyResolved, Changed, GrantVoid, NotAllowed, NotFound
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.approvals.making import CLAIM_TIME
from holdpoint.domain.approval import ApprovalState, DryRun, DryRunState, Glass, Verdict, preview_digest
from holdpoint.domain.decision import Deny, DenyReason, Permit, Scope
from holdpoint.domain.grant import GrantState
from holdpoint.store.protocol import StoreUnavailable

ALICE = reviewer("alice@example", "dev")
WHY = "the shop is down and nobody answers"
OPEN = term(break_glass=glass())

pytestmark = pytest.mark.threat("T64")


async def broken(home: House, **more):
    held = await home.broker.request(ask(OPEN, **more))
    return await home.broker.break_glass(held.id, ALICE, WHY, expect=held.ask.intent, preview=preview_digest(held))


async def test_requester_opens_what_the_rule_lets_him(home: House):
    done = await broken(home)
    assert (done.state, done.glass) == (ApprovalState.APPROVED, Glass.BROKEN)
    assert done.resolution == f"glass broken by Alice: {WHY}"
    assert [(v.verdict, v.reviewer.person, v.comment) for v in done.votes] == [
        (Verdict.BREAK_GLASS, "alice@example", WHY)
    ]
    assert home.told.kinds == [BrokerEventKind.HELD, BrokerEventKind.GLASS_BROKEN, BrokerEventKind.RESOLVED]
    assert (await home.broker.spend(done.grant, wire="w", exchange="x")).state is GrantState.SPENT


async def test_what_was_opened_waits_for_its_review_over_a_restart(home: House):
    done = await broken(home)
    await home.restart()
    assert await home.broker.get(done.id) == replace(done, waiters=0)
    assert await home.store.broken_glass("alice@example") == done.id


@pytest.mark.parametrize(
    ("terms", "who", "why", "told"),
    [
        pytest.param((term(),), ALICE, WHY, "lets nobody", id="a rule without it"),
        pytest.param((OPEN, term(rule="other")), ALICE, WHY, "lets nobody", id="one of two rules without it"),
        pytest.param((term(break_glass=glass("group:oncall")),), ALICE, WHY, "does not let you", id="not among them"),
        pytest.param((term(break_glass=glass(duration=0)),), ALICE, WHY, "lets nobody", id="for no time at all"),
        pytest.param((OPEN,), ALICE, " too short\n", "at least 10", id="no reason to speak of"),
        pytest.param((OPEN,), reviewer("bob@example"), WHY, "did not make", id="a reviewer who did not ask"),
        pytest.param((OPEN,), replace(ALICE, person=""), WHY, "did not make", id="nobody that is known"),
        pytest.param(
            (term(break_glass=glass("person:boss@example")),),
            replace(ALICE, acting_for=frozenset({"person:boss@example"})),
            WHY,
            "does not let you",
            id="who only stands in for one who may",
        ),
        pytest.param((OPEN,), ALICE, "x" * 501, "longer than 500", id="a reason that is too long"),
    ],
)
async def test_glass_is_not_broken(home: House, terms, who, why, told):
    held = await home.broker.request(ask(*terms))
    with pytest.raises(NotAllowed, match=told):
        await home.broker.break_glass(held.id, who, why)
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
    assert await home.store.active_grants() == ()


async def test_nobody_breaks_the_glass_where_no_person_is_known(home: House):
    held = await home.broker.request(ask(term(break_glass=glass("group:dev")), who=principal(None)))
    with pytest.raises(NotAllowed, match="did not make"):
        await home.broker.break_glass(held.id, ALICE, WHY)


async def test_owner_of_a_workload_may(home: House):
    owned = principal(None, owners=frozenset({"alice@example"}))
    held = await home.broker.request(ask(OPEN, who=owned))
    assert (await home.broker.break_glass(held.id, ALICE, WHY)).glass is Glass.BROKEN


async def test_whoever_is_barred_may_not(tmp_path):
    from tests.fakes.approvals import house  # another house than the fixture's

    async with house(tmp_path / "b.db", barred=lambda r: "suspended" if r.person == "alice@example" else "") as home:
        held = await home.broker.request(ask(OPEN))
        with pytest.raises(NotAllowed, match="suspended"):
            await home.broker.break_glass(held.id, ALICE, WHY)


async def test_second_one_waits_for_the_review_of_the_first(home: House):
    first = await broken(home)
    with pytest.raises(NotAllowed, match=f"`{first.id}`.*nobody has reviewed"):
        await broken(home, what="other")
    await home.restart()
    with pytest.raises(NotAllowed, match="nobody has reviewed"):
        await broken(home, what="other")
    await home.broker.review_glass(first.id, reviewer(), "fair enough")
    assert (await broken(home, what="other")).glass is Glass.BROKEN


async def test_of_two_at_once_one_is_broken(home: House):
    results = await asyncio.gather(broken(home, what="a"), broken(home, what="b"), return_exceptions=True)
    assert [type(r) for r in results].count(NotAllowed) == 1
    assert len(await home.store.active_grants()) == 1


async def test_two_persons_break_one_each(home: House):
    both = principal(owners=frozenset({"ann@example"}))
    terms = term(break_glass=glass("person:alice@example", "person:ann@example"))
    for what, who in (("a", ALICE), ("b", reviewer("ann@example"))):
        held = await home.broker.request(ask(terms, who=both, what=what))
        assert (await home.broker.break_glass(held.id, who, WHY)).glass is Glass.BROKEN


@pytest.mark.parametrize(
    ("terms", "session", "open_for", "stream_for"),
    [
        pytest.param((OPEN,), "", CLAIM_TIME, 900, id="once"),
        pytest.param((term(break_glass=glass(duration=20)),), "", 20, 20, id="once, for less than a minute"),
        pytest.param((term(scope=Scope.WINDOW, duration=7200, break_glass=glass()),), "", 900, 900, id="window"),
        pytest.param((term(scope=Scope.WINDOW, duration=300, break_glass=glass()),), "", 300, 300, id="short window"),
        pytest.param((term(scope=Scope.SESSION, duration=7200, break_glass=glass()),), "s", 900, 900, id="session"),
        pytest.param((term(scope=Scope.SESSION, duration=300, break_glass=glass()),), "", 60, 300, id="one stream"),
        pytest.param((OPEN, term(rule="b", break_glass=glass(duration=30))), "", 30, 30, id="the least of two"),
    ],
)
async def test_what_it_opens_ends_in_time(home: House, terms, session, open_for, stream_for):
    held = await home.broker.request(ask(*terms, session=session))
    done = await home.broker.break_glass(held.id, ALICE, WHY)
    grant = await home.store.grant(done.grant)
    assert (grant.expires_at - grant.created_at, grant.stream_until - grant.created_at) == (open_for, stream_for)
    await home.later(open_for)
    with pytest.raises(GrantVoid):
        await home.broker.spend(done.grant, wire="w", exchange="x")


async def test_glass_is_broken_without_a_preview_that_could_not_be_made_but_never_unread(home: House):
    held = await home.broker.request(ask(term(break_glass=glass(), require_preview=True)))
    before = preview_digest(held)
    await home.broker.note_dry_run(held.id, DryRun(DryRunState.FAILED, "the API server is down"))
    with pytest.raises(Changed):
        await home.broker.break_glass(held.id, ALICE, WHY, preview=before)
    with pytest.raises(Changed):
        await home.broker.break_glass(held.id, ALICE, WHY, expect="sha256:other")
    assert (await home.broker.break_glass(held.id, ALICE, WHY)).glass is Glass.BROKEN


async def test_not_after_the_deadline_nor_after_a_denial(home: House):
    late = await home.broker.request(ask(term(timeout=60, break_glass=glass())))
    home.clock.advance(60)
    with pytest.raises(AlreadyResolved):
        await home.broker.break_glass(late.id, ALICE, WHY)
    denied = await home.broker.request(ask(OPEN, what="other"))
    await home.broker.vote(denied.id, reviewer(), Verdict.DENY, "no")
    with pytest.raises(AlreadyResolved):
        await home.broker.break_glass(denied.id, ALICE, WHY)


async def test_rule_that_came_meanwhile_without_it_forbids_it(home: House):
    held = await home.broker.request(ask(OPEN))
    await home.broker.redecide(lambda _: Permit("sha256:b", (), (term(rule="new"),)))
    with pytest.raises(NotAllowed, match="lets nobody"):
        await home.broker.break_glass(held.id, ALICE, WHY)


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(Permit("sha256:b", (), (term(),)), id="no longer to be broken"),
        pytest.param(Permit("sha256:b", (), (term(break_glass=glass("group:oncall")),)), id="by others"),
        pytest.param(Deny(DenyReason.RULE), id="denied now"),
    ],
)
async def test_what_was_opened_is_closed_by_a_rule_that_would_not_open_it_now(home: House, now):
    done = await broken(home)
    changes = await home.broker.redecide(lambda _: now)
    assert [g.id for g in changes.revoked] == [done.grant]
    with pytest.raises(GrantVoid):
        await home.broker.spend(done.grant, wire="w", exchange="x")


async def test_terms_in_force_at_dispatch_count_too(home: House):
    done = await broken(home)
    with pytest.raises(GrantVoid):
        await home.broker.spend(done.grant, wire="w", exchange="x", terms=(term(),))


async def test_store_that_fails_leaves_the_request_as_it_was(home: House, caplog):
    caplog.set_level("CRITICAL", "holdpoint.store")
    held = await home.broker.request(ask(OPEN))
    await home.store.close()
    with pytest.raises(StoreUnavailable):
        await home.broker.break_glass(held.id, ALICE, WHY)
    await home.restart()
    found = await home.broker.get(held.id)
    assert (found.state, found.glass, found.votes) == (ApprovalState.PENDING, Glass.NONE, ())


@pytest.mark.parametrize(
    ("who", "told"),
    [
        pytest.param(ALICE, "you made this request", id="who broke it"),
        pytest.param(reviewer("mallory@example", "dev"), "not among the reviewers", id="no reviewer of it"),
    ],
)
async def test_review_is_by_a_reviewer_who_did_not_ask(home: House, who, told):
    done = await broken(home)
    with pytest.raises(NotAllowed, match=told):
        await home.broker.review_glass(done.id, who, "fine by me")
    assert (await home.broker.get(done.id)).glass is Glass.BROKEN


async def test_review_is_once_and_is_told(home: House):
    done = await broken(home)
    reviewed = await home.broker.review_glass(done.id, reviewer(), "talked it over")
    assert (reviewed.glass, reviewed.state) == (Glass.REVIEWED, ApprovalState.APPROVED)
    assert [(v.verdict, v.comment) for v in reviewed.votes[1:]] == [(Verdict.REVIEW, "talked it over")]
    assert home.told.kinds[-1] is BrokerEventKind.GLASS_REVIEWED
    with pytest.raises(NotAllowed, match="already"):
        await home.broker.review_glass(done.id, reviewer("carol@example"), "me too")
    with pytest.raises(NotFound):
        await home.broker.review_glass("apr-none", reviewer(), "")


async def test_nothing_is_reviewed_that_nobody_broke(home: House):
    held = await home.broker.request(ask())
    with pytest.raises(NotAllowed, match="nobody broke"):
        await home.broker.review_glass(held.id, reviewer(), "")


async def test_broken_glass_is_not_forgotten_before_its_review(home: House):
    done = await broken(home)
    home.clock.advance(400 * 86_400)
    await home.restart()
    assert (await home.broker.get(done.id)).glass is Glass.BROKEN
    await home.broker.review_glass(done.id, reviewer(), "late")
    await home.restart()
    with pytest.raises(NotFound):
        await home.broker.get(done.id)


@pytest.mark.parametrize("verdict", [Verdict.BREAK_GLASS, Verdict.REVIEW])
async def test_no_vote_of_a_reviewer_breaks_or_reviews(home: House, verdict):
    held = await home.broker.request(ask(OPEN))
    with pytest.raises(NotAllowed, match="approves or denies"):
        await home.broker.vote(held.id, reviewer(), verdict, WHY)


async def test_what_reviewers_approved_stays_open_where_nobody_may_break_the_glass_any_more(home):
    held = await home.broker.request(ask(OPEN))
    await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    changes = await home.broker.redecide(lambda _: Permit("sha256:b", (), (term(),)))
    assert changes.revoked == ()
