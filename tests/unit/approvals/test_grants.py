import asyncio

import pytest
from tests.fakes.approvals import House, ask, principal, reviewer, term

from holdpoint.approvals.errors import GrantSpent, GrantVoid
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.domain.access import Actor
from holdpoint.domain.approval import ApprovalState, Ask, Verdict
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import GatewayFault

WINDOW = term(scope=Scope.WINDOW, duration=900)
SESSION = term(scope=Scope.SESSION, duration=900)


async def approved(home: House, asked: Ask) -> str:
    held = await home.broker.request(asked)
    done = await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    assert done.grant
    return done.grant


async def find(home: House, asked: Ask, session: str = "", **more) -> Grant | None:
    who = asked.access.principal
    return await home.broker.find_grant(who.id, asked.access.target, asked.intent, session, actor=who.actor, **more)


@pytest.mark.threat("T18")
async def test_single_use_grant_is_spent_once(home: House):
    grant = await approved(home, ask())
    spent = await home.broker.spend(grant, wire="sha256:w", exchange="x-1")
    assert (spent.state, spent.wire, spent.exchange) == (GrantState.SPENT, "sha256:w", "x-1")
    with pytest.raises(GrantSpent):
        await home.broker.spend(grant, wire="sha256:w", exchange="x-2")
    assert await find(home, ask()) is None


@pytest.mark.threat("T18")
async def test_of_racing_spends_exactly_one_wins(home: House):
    grant = await approved(home, ask())
    results = await asyncio.gather(
        *(home.broker.spend(grant, wire="sha256:w", exchange=f"x-{i}") for i in range(20)), return_exceptions=True
    )
    kinds = [type(r) for r in results]
    assert (kinds.count(Grant), kinds.count(GrantSpent)) == (1, 19)


@pytest.mark.threat("T18")
async def test_grant_is_found_only_by_the_same_principal_agent_target_and_intent(home: House):
    mine = ask(who=principal(agent="claude"))
    grant = await approved(home, mine)
    who = mine.access.principal
    claude = who.actor
    assert (await find(home, mine)).id == grant
    for args in [
        ("other", "shop", mine.intent, claude),
        (who.id, "bank", mine.intent, claude),
        (who.id, "shop", "sha256:other", claude),
        (who.id, "shop", mine.intent, None),
        (who.id, "shop", mine.intent, Actor("gpt", claude.issuer)),
    ]:
        assert await home.broker.find_grant(*args[:3], "", actor=args[3]) is None


async def test_window_grant_is_spent_many_times_until_it_ends(home: House):
    grant = await approved(home, ask(WINDOW))
    for i in range(3):
        assert (await home.broker.spend(grant, wire="w", exchange=f"x-{i}")).state is GrantState.ACTIVE
        home.clock.advance(299)
    home.clock.advance(3)
    assert await find(home, ask(WINDOW)) is None
    with pytest.raises(GrantVoid, match="expired"):
        await home.broker.spend(grant, wire="w", exchange="x-9")
    assert home.told.kinds[-1] is BrokerEventKind.GRANT_ENDED


async def test_one_exchange_does_not_spend_a_window_twice(home: House):
    grant = await approved(home, ask(WINDOW))
    await home.broker.spend(grant, wire="w", exchange="x-1")
    with pytest.raises(GrantSpent):
        await home.broker.spend(grant, wire="w", exchange="x-1")


async def test_session_grant_needs_the_same_session(home: House):
    grant = await approved(home, ask(SESSION, session="s1"))
    assert (await find(home, ask(SESSION), "s1")).id == grant
    assert await find(home, ask(SESSION), "s2") is None
    assert await find(home, ask(SESSION), "") is None


@pytest.mark.parametrize(
    ("terms", "session", "scope"),
    [
        pytest.param((SESSION,), "", Scope.REQUEST, id="session without an id is once"),
        pytest.param((term(scope=Scope.WINDOW, duration=0),), "s", Scope.REQUEST, id="window without duration is once"),
        pytest.param((WINDOW, term(rule="b")), "s", Scope.REQUEST, id="narrowest of two terms"),
        pytest.param((WINDOW, SESSION), "s", Scope.SESSION, id="session is narrower than window"),
    ],
)
async def test_reach_is_the_narrowest(home: House, terms, session, scope):
    grant = await home.store.grant(await approved(home, ask(*terms, session=session)))
    assert grant.scope is scope


async def test_unclaimed_grant_ends_with_the_deadline(home: House):
    grant = await approved(home, ask(term(timeout=600)))
    await home.later(599)
    assert (await find(home, ask())).id == grant
    await home.later(1)
    assert (await home.store.grant(grant)).state is GrantState.EXPIRED
    with pytest.raises(GrantVoid):
        await home.broker.spend(grant, wire="w", exchange="x")


async def test_grant_given_in_the_last_second_can_still_be_claimed(home: House):
    held = await home.broker.request(ask(term(timeout=600)))
    home.clock.advance(599.9)
    done = await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    home.clock.advance(59)
    assert (await home.broker.spend(done.grant, wire="w", exchange="x")).state is GrantState.SPENT


@pytest.mark.failure("F-clock")
async def test_grant_does_not_outlive_its_time_when_the_wall_clock_is_set_back(home: House):
    grant = await approved(home, ask(WINDOW))
    home.clock.jump(-100_000)
    await home.restart()
    await home.later(900)
    assert (await home.store.grant(grant)).state is GrantState.EXPIRED


async def test_unknown_grant_is_void(home: House):
    with pytest.raises(GrantVoid, match="does not exist"):
        await home.broker.spend("grt-none", wire="w", exchange="x")


async def test_drift_voids_a_grant(home: House):
    grant = await approved(home, ask())
    ended = await home.broker.end_grant(grant, GrantState.VOID, "the object changed")
    assert ended.state is GrantState.VOID
    with pytest.raises(GrantVoid):
        await home.broker.spend(grant, wire="w", exchange="x")
    assert await home.broker.end_grant(grant, GrantState.REVOKED, "again") is None


async def test_spend_under_stricter_terms_than_it_was_given_under_is_void(home: House):
    grant = await approved(home, ask())
    with pytest.raises(GrantVoid):
        await home.broker.spend(grant, wire="w", exchange="x", terms=[term(required=2)])
    assert (await home.store.grant(grant)).state is GrantState.REVOKED


async def test_request_under_stricter_terms_is_held_again(home: House):
    held = await home.broker.request(ask())
    await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    again = await home.broker.request(ask(term(required=2)))
    assert (again.id != held.id, again.state) == (True, ApprovalState.PENDING)


async def test_same_terms_with_another_time_to_answer_still_suffice(home: House):
    grant = await approved(home, ask())
    assert (await find(home, ask(), terms=[term(timeout=5)])).id == grant


async def test_released_grant_can_be_spent_again(home: House):
    grant = await approved(home, ask())
    await home.broker.spend(grant, wire="w", exchange="x-1")
    assert (await home.broker.release(grant, "x-1")).state is GrantState.ACTIVE
    await home.broker.spend(grant, wire="w", exchange="x-2")
    await home.broker.settle(grant, GrantState.ANSWERED)
    with pytest.raises(GrantSpent):
        await home.broker.release(grant, "x-2")


async def test_caller_cancelled_while_spending_gives_the_grant_back(home: House):
    grant = await approved(home, ask())
    spending = asyncio.ensure_future(home.broker.spend(grant, wire="w", exchange="x-1"))
    await asyncio.sleep(0)
    spending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spending
    await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "give a grant back"))
    assert (await home.store.grant(grant)).state is GrantState.ACTIVE
    assert await home.store.open_spends() == ()
    assert (await home.broker.spend(grant, wire="w", exchange="x-2")).exchange == "x-2"


async def test_settled_grant_forgets_its_arguments(home: House):
    grant = await approved(home, ask())
    await home.broker.spend(grant, wire="w", exchange="x-1")
    approval = (await home.store.grant(grant)).approval
    assert (await home.store.approval(approval)).ask == ask()
    done = await home.broker.settle(grant, GrantState.ANSWERED)
    assert done.state is GrantState.ANSWERED
    assert (await home.store.approval(approval)).ask.access.arguments == {}


async def test_settling_again_the_same_is_harmless_and_another_outcome_a_fault(home: House):
    grant = await approved(home, ask())
    await home.broker.spend(grant, wire="w", exchange="x-1")
    for _ in range(2):
        assert (await home.broker.settle(grant, GrantState.UNKNOWN)).state is GrantState.UNKNOWN
    with pytest.raises(GatewayFault, match="unknown"):
        await home.broker.settle(grant, GrantState.ANSWERED)


@pytest.mark.parametrize("terms", [term(), WINDOW], ids=["once", "window"])
async def test_settling_what_was_not_spent_is_a_fault(home: House, terms):
    grant = await approved(home, ask(terms))
    with pytest.raises(GatewayFault):
        await home.broker.settle(grant, GrantState.ANSWERED)


async def test_window_settles_by_exchange_and_stays(home: House):
    grant = await approved(home, ask(WINDOW))
    await home.broker.spend(grant, wire="w", exchange="x-1")
    assert (await home.broker.settle(grant, GrantState.ANSWERED, exchange="x-1")).state is GrantState.ACTIVE


async def test_unknown_outcome_is_told_and_shown_to_the_next_reviewer(home: House):
    grant = await approved(home, ask())
    await home.broker.spend(grant, wire="w", exchange="x-1")
    await home.broker.settle(grant, GrantState.UNKNOWN)
    assert home.told.kinds[-1] is BrokerEventKind.OUTCOME_UNKNOWN
    again = await home.broker.request(ask())
    earlier = again.ask.preview["earlier"]
    assert (again.state, earlier["outcome"], earlier["exchange"]) == (ApprovalState.PENDING, "unknown", "x-1")
    assert (await home.store.approval(again.id)).ask.preview == again.ask.preview


async def test_request_while_the_same_one_is_on_its_way_says_so(home: House):
    grant = await approved(home, ask())
    await home.broker.spend(grant, wire="w", exchange="x-1")
    again = await home.broker.request(ask())
    assert again.ask.preview["earlier"]["outcome"] == "still on its way"


async def test_answered_request_is_no_news_to_the_next_reviewer(home: House):
    grant = await approved(home, ask())
    await home.broker.spend(grant, wire="w", exchange="x-1")
    await home.broker.settle(grant, GrantState.ANSWERED)
    assert "earlier" not in (await home.broker.request(ask())).ask.preview
