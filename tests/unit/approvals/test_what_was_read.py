"""A yes counts for what was read: dry runs that arrive or change, reasons, proofs, and who stands in for whom."""

from dataclasses import replace

import pytest
from tests.fakes.approvals import House, ask, house, principal, reviewer, term

from holdpoint.approvals.acts import MAX_SHOWN
from holdpoint.approvals.errors import AlreadyResolved, Changed, NotAllowed, NotFound
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.approvals.wire_form import to_json
from holdpoint.domain.approval import ApprovalState, DryRun, DryRunState, Proof, Verdict, preview_digest
from holdpoint.domain.decision import Clause, Permit
from holdpoint.store.protocol import StoreUnavailable

APPROVE, DENY = Verdict.APPROVE, Verdict.DENY
ALICE, BOB, CAROL = reviewer("alice@example", "dev"), reviewer(), reviewer("carol@example")
READY = DryRun(DryRunState.READY, at=1.0, shown={"diff": [{"path": "spec.replicas", "before": 2, "after": 3}]})
OTHER = replace(READY, shown={"diff": [{"path": "spec.replicas", "before": 2, "after": 0}]})
TRYING = DryRun(DryRunState.PENDING)


async def state(home: House, approval_id: str) -> ApprovalState:
    return (await home.broker.get(approval_id)).state


@pytest.mark.threat("T65")
async def test_yes_to_another_preview_than_there_is_now_does_not_count(home: House):
    held = await home.broker.request(ask(), dry_run=TRYING)
    read = preview_digest(held)
    await home.broker.note_dry_run(held.id, READY)
    with pytest.raises(Changed, match="since you opened it"):
        await home.broker.vote(held.id, BOB, APPROVE, "", preview=read)
    now = preview_digest(await home.broker.get(held.id))
    assert (await home.broker.vote(held.id, BOB, APPROVE, "", preview=now)).grant


@pytest.mark.threat("T65")
@pytest.mark.parametrize("change", ["dry run", "reason"])
async def test_what_changes_between_two_votes_has_the_first_given_again(home: House, change):
    held = await home.broker.request(ask(term(required=2)), dry_run=READY)
    await home.broker.vote(held.id, BOB, APPROVE, "")
    if change == "dry run":
        await home.broker.note_dry_run(held.id, OTHER)
    else:
        await home.broker.give_reason(held.id, ALICE, "only to clean up")
    assert (await home.broker.vote(held.id, CAROL, APPROVE, "")).state is ApprovalState.PENDING
    shown = to_json(await home.broker.get(held.id))
    assert [t["approved_by"] for t in shown["terms"]] == [["carol@example"]]
    await home.restart()
    assert (await home.broker.vote(held.id, BOB, APPROVE, "read it again")).grant


async def test_denial_is_taken_whatever_was_read(home: House):
    held = await home.broker.request(ask(term(require_reason=True, require_preview=True)), dry_run=TRYING)
    assert (await home.broker.vote(held.id, BOB, DENY, "no", preview="sha256:old")).state is ApprovalState.DENIED


async def test_dry_run_that_says_the_same_again_changes_nothing(home: House):
    held = await home.broker.request(ask(), dry_run=READY)
    assert (await home.broker.note_dry_run(held.id, READY)).version == held.version
    assert home.told.kinds == [BrokerEventKind.HELD]


async def test_dry_run_is_told_and_survives_a_restart(home: House):
    held = await home.broker.request(ask(), dry_run=TRYING)
    large = replace(READY, shown={"object": {"data": "x" * 5_000}}, digest="sha256:d", live={"uid": "u"})
    await home.broker.note_dry_run(held.id, large)
    assert home.told.kinds == [BrokerEventKind.HELD, BrokerEventKind.PREVIEWED]
    await home.restart()
    assert (await home.broker.get(held.id)).dry_run == large


async def test_dry_run_of_what_has_ended_is_refused(home: House):
    held = await home.broker.request(ask())
    await home.broker.vote(held.id, BOB, DENY, "")
    with pytest.raises(AlreadyResolved):
        await home.broker.note_dry_run(held.id, READY)
    with pytest.raises(NotFound):
        await home.broker.note_dry_run("apr-none", READY)


async def test_dry_run_that_is_too_large_to_show_counts_as_failed(home: House):
    held = await home.broker.request(ask(term(require_preview=True)), dry_run=TRYING)
    found = await home.broker.note_dry_run(held.id, replace(READY, shown={"object": "x" * MAX_SHOWN}))
    assert (found.dry_run.state, found.dry_run.shown, found.dry_run.digest) == (DryRunState.FAILED, {}, "")
    with pytest.raises(NotAllowed, match="could not be tried"):
        await home.broker.vote(held.id, BOB, APPROVE, "")


@pytest.mark.parametrize(
    ("dry_run", "told"),
    [
        pytest.param(DryRun(), "could not be tried", id="none"),
        pytest.param(TRYING, "not known yet", id="still being tried"),
        pytest.param(DryRun(DryRunState.FAILED, "it took too long"), "it took too long", id="failed"),
    ],
)
async def test_nobody_approves_without_the_preview_that_the_rule_asks_for(home: House, dry_run, told):
    held = await home.broker.request(ask(term(require_preview=True)), dry_run=dry_run)
    assert told in to_json(held)["blocked"]
    with pytest.raises(NotAllowed, match=told):
        await home.broker.vote(held.id, BOB, APPROVE, "")
    await home.broker.note_dry_run(held.id, READY)
    assert (await home.broker.vote(held.id, BOB, APPROVE, "")).grant


async def test_nobody_approves_without_the_reason_that_the_rule_asks_for(home: House):
    held = await home.broker.request(ask(term(require_reason=True)))
    with pytest.raises(NotAllowed, match="has to say why"):
        await home.broker.vote(held.id, BOB, APPROVE, "")
    await home.broker.give_reason(held.id, ALICE, " disk\u202e full \x1b[2J ")
    found = await home.broker.get(held.id)
    assert found.reason == "disk<U+202E> full <U+001B>[2J"
    assert (await home.broker.vote(held.id, BOB, APPROVE, "")).grant


async def test_silence_is_no_consent_while_the_reason_or_the_preview_is_missing(home: House):
    held = await home.broker.request(ask(term(auto=60, require_reason=True, require_preview=True)))
    await home.later(120)
    assert await state(home, held.id) is ApprovalState.PENDING
    await home.broker.give_reason(held.id, ALICE, "because")
    await home.broker.note_dry_run(held.id, READY)
    await home.later(59)
    assert await state(home, held.id) is ApprovalState.PENDING
    await home.later(1)
    assert await state(home, held.id) is ApprovalState.APPROVED


async def test_silence_counts_anew_once_reviewers_read_another_thing(home: House):
    held = await home.broker.request(ask(term(auto=60)), dry_run=READY)
    await home.later(50)
    await home.broker.note_dry_run(held.id, OTHER)
    await home.later(50)
    assert await state(home, held.id) is ApprovalState.PENDING
    await home.later(10)
    assert await state(home, held.id) is ApprovalState.APPROVED


@pytest.mark.parametrize(
    ("who", "text", "told"),
    [
        pytest.param(BOB, "because", "did not make", id="a reviewer"),
        pytest.param(replace(ALICE, person=""), "because", "did not make", id="nobody that is known"),
        pytest.param(ALICE, "  \n", "say why", id="nothing"),
        pytest.param(ALICE, "x" * 501, "longer than 500", id="too much"),
        pytest.param(ALICE, "x" * 1_000_000, "longer than 500", id="a megabyte"),
    ],
)
async def test_reason_is_refused(home: House, who, text, told):
    held = await home.broker.request(ask())
    with pytest.raises(NotAllowed, match=told):
        await home.broker.give_reason(held.id, who, text)
    assert (await home.broker.get(held.id)).reason == ""


async def test_first_reason_stays_and_a_later_one_is_noted(home: House):
    await home.broker.request(ask(exchange="x-1", reason="the disk is full"))
    again = await home.broker.request(ask(exchange="x-2", reason="because I can"))
    assert again.reason == "the disk is full"
    folded = home.told.events[-1]
    assert (folded.kind, folded.exchange) == (BrokerEventKind.FOLDED, "x-2")
    assert "because I can" in folded.detail


async def test_reason_of_a_retry_counts_where_there_was_none(home: House):
    held = await home.broker.request(ask(term(require_reason=True)))
    again = await home.broker.request(ask(term(require_reason=True), reason="the disk is full"))
    assert (again.id, again.reason) == (held.id, "the disk is full")
    assert BrokerEventKind.REASONED in home.told.kinds


async def test_requester_takes_it_back_whoever_waits(home: House):
    import asyncio

    held = await home.broker.request(ask(who=principal(owners=frozenset({"ann@example"}))))
    waiting = asyncio.ensure_future(home.broker.wait(held.id, timeout=None))
    await asyncio.sleep(0)
    with pytest.raises(NotAllowed, match="did not make"):
        await home.broker.withdraw_by(held.id, BOB)
    done = await home.broker.withdraw_by(held.id, reviewer("ann@example"))
    assert (done.state, (await waiting).state) == (ApprovalState.WITHDRAWN, ApprovalState.WITHDRAWN)
    with pytest.raises(AlreadyResolved):
        await home.broker.withdraw_by(held.id, ALICE)


@pytest.mark.threat("T66")
async def test_two_persons_count_only_by_logins_for_that_very_decision(tmp_path):
    async with house(tmp_path / "c.db", confirm=True) as home:
        held = await home.broker.request(ask(term(required=2)))
        assert to_json(held, confirm=True)["needs_confirm"] is True
        for proof in (None, Proof({}, key="k", signature="s")):
            with pytest.raises(NotAllowed, match="login for this very decision"):
                await home.broker.vote(held.id, BOB, APPROVE, "", proof=proof)
        sworn = Proof({"request": held.id}, id_token="t")
        assert (await home.broker.vote(held.id, BOB, APPROVE, "", proof=sworn)).state is ApprovalState.PENDING
        await home.restart()
        assert (await home.broker.get(held.id)).votes[0].proof == sworn
        assert (await home.broker.vote(held.id, CAROL, APPROVE, "", proof=sworn)).grant


@pytest.mark.threat("T66")
async def test_vote_from_before_a_second_person_was_asked_for_has_to_be_confirmed(tmp_path):
    async with house(tmp_path / "c.db", confirm=True) as home:
        strict = (term(), term(rule="more", reviewers=frozenset({"group:finance"})))
        held = await home.broker.request(ask(term(also=(Clause(frozenset({"group:legal"})),))))
        assert to_json(held, confirm=True)["needs_confirm"] is True
        one = await home.broker.request(ask(what="one"))
        assert to_json(one, confirm=True)["needs_confirm"] is False
        await home.broker.redecide(lambda _: Permit("sha256:b", (), strict))
        with pytest.raises(NotAllowed, match="login for this very decision"):
            await home.broker.vote(one.id, BOB, APPROVE, "")


@pytest.mark.threat("T66")
async def test_nobody_stands_in_for_one_who_asks(home: House):
    held = await home.broker.request(ask(term(reviewers=frozenset({"person:alice@example", "person:dan@example"}))))
    lent = replace(reviewer("bob@example", "none"), acting_for=frozenset({"person:alice@example"}))
    with pytest.raises(NotAllowed, match="not among the reviewers"):
        await home.broker.vote(held.id, lent, APPROVE, "")
    lent = replace(lent, acting_for=frozenset({"person:alice@example", "person:dan@example"}))
    done = await home.broker.vote(held.id, lent, APPROVE, "")
    assert done.votes[0].reviewer.acting_for == {"person:dan@example"}


async def test_store_that_fails_leaves_what_reviewers_read(home: House, caplog):
    caplog.set_level("CRITICAL", "holdpoint.store")
    held = await home.broker.request(ask())
    await home.store.close()
    for act in (
        home.broker.note_dry_run(held.id, READY),
        home.broker.give_reason(held.id, ALICE, "because"),
        home.broker.withdraw_by(held.id, ALICE),
    ):
        with pytest.raises(StoreUnavailable):
            await act
    await home.restart()
    assert await home.broker.get(held.id) == held
