import pytest
from tests.fakes.approvals import House, ask, reviewer, term

from holdpoint.approvals.errors import GrantSpent, GrantVoid
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.domain.access import AccessRequest
from holdpoint.domain.approval import ApprovalState, Verdict
from holdpoint.domain.decision import Decision, Deny, DenyReason, Permit, RequireApproval, RuleRef, Scope
from holdpoint.domain.grant import GrantState

APPROVE = Verdict.APPROVE


def permit(*terms: RequireApproval):
    return lambda _: Permit("sha256:new", (), terms)


def deny(_: AccessRequest) -> Decision:
    return Deny(DenyReason.RULE, rules=(RuleRef("prod", "freeze"),), message="change freeze")


@pytest.mark.failure("F-restart-held")
async def test_pending_request_survives_a_restart_with_its_votes(home: House):
    held = await home.broker.request(ask(term(required=2)))
    await home.broker.vote(held.id, reviewer(), APPROVE, "one")
    before = await home.broker.get(held.id)
    await home.restart()
    assert await home.broker.get(held.id) == before
    assert (await home.broker.request(ask(term(required=2)))).id == held.id
    assert (await home.broker.vote(held.id, reviewer("carol@example"), APPROVE, "")).grant


@pytest.mark.failure("F-restart-held")
async def test_deadline_runs_on_over_a_restart(home: House):
    held = await home.broker.request(ask(term(timeout=600)))
    await home.close()
    home.clock.advance(500)
    await home.restart()
    await home.later(99)
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
    await home.later(1)
    assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED


@pytest.mark.failure("F-restart-held")
async def test_deadline_that_passed_while_it_was_down_expires_at_start(home: House):
    held = await home.broker.request(ask(term(timeout=600)))
    home.clock.advance(601)
    await home.restart()
    assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED
    assert home.told.kinds[-1] is BrokerEventKind.RESOLVED


@pytest.mark.failure("F-clock")
async def test_wall_clock_set_back_over_a_restart_gives_no_more_time_than_there_was(home: House):
    held = await home.broker.request(ask(term(timeout=600)))
    home.clock.jump(-100_000)
    await home.restart()
    await home.later(600)
    assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED


async def test_silence_starts_anew_after_a_restart(home: House):
    held = await home.broker.request(ask(term(auto=30)))
    await home.close()
    home.clock.advance(29)
    await home.restart()
    await home.later(29)
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING
    await home.later(1)
    assert (await home.broker.get(held.id)).state is ApprovalState.APPROVED


async def test_unspent_grant_survives_a_restart(home: House):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "")
    await home.restart()
    assert (await home.broker.spend(done.grant, wire="w", exchange="x")).state is GrantState.SPENT


@pytest.mark.failure("F-kill-spent")
@pytest.mark.parametrize("scope", [Scope.REQUEST, Scope.WINDOW])
async def test_dispatch_without_answer_is_unknown_after_a_restart(home: House, scope):
    terms = term(scope=scope, duration=900)
    held = await home.broker.request(ask(terms))
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "")
    await home.broker.spend(done.grant, wire="w", exchange="x-7")
    await home.restart()
    event = next(e for e in home.told.events if e.kind is BrokerEventKind.OUTCOME_UNKNOWN)
    assert (event.exchange, event.request.id, event.grant.id) == ("x-7", held.id, done.grant)
    state = (await home.store.grant(done.grant)).state
    assert state is (GrantState.UNKNOWN if scope is Scope.REQUEST else GrantState.ACTIVE)
    if scope is Scope.REQUEST:
        with pytest.raises(GrantSpent):
            await home.broker.spend(done.grant, wire="w", exchange="x-8")
        assert (await home.broker.request(ask(terms))).ask.preview["earlier"]["outcome"] == "unknown"
    home.told.events.clear()
    await home.restart()
    assert BrokerEventKind.OUTCOME_UNKNOWN not in home.told.kinds


async def test_reload_that_denies_withdraws_what_is_pending(home: House):
    held = await home.broker.request(ask())
    changes = await home.broker.redecide(deny)
    after = await home.broker.get(held.id)
    assert [r.id for r in changes.withdrawn] == [held.id]
    assert (after.state, after.resolution) == (
        ApprovalState.WITHDRAWN,
        "policy changed: change freeze (prod/freeze)",
    )


async def test_reload_that_permits_outright_leaves_it_pending(home: House):
    held = await home.broker.request(ask())
    changes = await home.broker.redecide(permit())
    assert (changes.withdrawn, changes.tightened, changes.revoked) == ((), (), ())
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING


async def test_reload_with_looser_terms_changes_nothing(home: House):
    held = await home.broker.request(ask(term(required=2)))
    looser = term(required=1, timeout=6000, auto=5, reviewers=frozenset({"group:sre", "group:dev"}))
    assert (await home.broker.redecide(permit(looser))).tightened == ()
    assert (await home.broker.get(held.id)).ask.terms == (term(required=2),)


async def test_reload_with_stricter_terms_counts_the_votes_again(home: House):
    held = await home.broker.request(ask(term(required=2)))
    await home.broker.vote(held.id, reviewer(), APPROVE, "")
    changes = await home.broker.redecide(permit(term(required=3)))
    assert [r.ask.terms for r in changes.tightened] == [(term(required=3),)]
    assert (await home.broker.vote(held.id, reviewer("carol@example"), APPROVE, "")).state is ApprovalState.PENDING
    await home.restart()
    stored = await home.broker.get(held.id)
    assert (stored.ask.terms, stored.ask.bundle) == ((term(required=3),), "sha256:new")
    assert (await home.broker.vote(held.id, reviewer("dave@example"), APPROVE, "")).grant


async def test_reload_with_other_reviewers_asks_for_both(home: House):
    held = await home.broker.request(ask())
    await home.broker.redecide(permit(term(reviewers=frozenset({"group:platform"}))))
    assert (await home.broker.vote(held.id, reviewer(), APPROVE, "")).state is ApprovalState.PENDING
    done = await home.broker.vote(held.id, reviewer("pat@example", "platform"), APPROVE, "")
    assert done.state is ApprovalState.APPROVED


async def test_reload_with_a_shorter_time_moves_the_deadline_back_only(home: House):
    held = await home.broker.request(ask(term(timeout=600)))
    await home.broker.redecide(permit(term(timeout=60)))
    await home.broker.redecide(permit(term(timeout=6000)))
    await home.later(60)
    assert (await home.broker.get(held.id)).state is ApprovalState.EXPIRED


@pytest.mark.parametrize(
    ("decide", "why"),
    [
        pytest.param(deny, "change freeze", id="denied"),
        pytest.param(permit(term(required=2)), "asks for more", id="stricter"),
    ],
)
async def test_reload_revokes_unspent_grants(home: House, decide, why):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "")
    changes = await home.broker.redecide(decide)
    assert [g.id for g in changes.revoked] == [done.grant]
    assert why in home.told.events[-1].detail
    with pytest.raises(GrantVoid, match="revoked"):
        await home.broker.spend(done.grant, wire="w", exchange="x")


@pytest.mark.parametrize("decide", [permit(), permit(term())], ids=["outright", "same terms"])
async def test_reload_that_is_not_stricter_keeps_grants(home: House, decide):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "")
    assert (await home.broker.redecide(decide)).revoked == ()
    assert (await home.broker.spend(done.grant, wire="w", exchange="x")).state is GrantState.SPENT


async def test_auto_approved_grant_is_revoked_when_silence_no_longer_counts(home: House):
    held = await home.broker.request(ask(term(auto=30)))
    await home.later(30)
    assert (await home.broker.get(held.id)).state is ApprovalState.APPROVED
    assert len((await home.broker.redecide(permit(term()))).revoked) == 1


async def test_policy_that_cannot_be_evaluated_withdraws(home: House, caplog):
    def broken(access: AccessRequest) -> Decision:
        raise ZeroDivisionError(access.target)

    held = await home.broker.request(ask())
    await home.broker.redecide(broken)
    assert (await home.broker.get(held.id)).state is ApprovalState.WITHDRAWN
    assert "could not be decided again" in caplog.text


async def test_reload_decides_on_exactly_what_was_asked_also_after_a_restart(home: House):
    asked = ask()
    await home.broker.request(asked)
    await home.restart()
    seen: list[AccessRequest] = []

    def look(access: AccessRequest) -> Decision:
        seen.append(access)
        return Permit("sha256:new", (), (term(),))

    await home.broker.redecide(look)
    assert seen == [asked.access]
