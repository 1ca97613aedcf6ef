"""One approval of a window: what it clears at a real broker and store, when it is found and when it is spent."""

from dataclasses import replace

import pytest
from tests.fakes.approvals import House, ask, principal, reviewer, term

from holdpoint.approvals.errors import GrantVoid
from holdpoint.approvals.windows import asked_by
from holdpoint.domain.approval import ApprovalState, Ask, Verdict
from holdpoint.domain.decision import Permit, RequireApproval, Scope
from holdpoint.domain.grant import Grant, GrantState

WINDOW = term(scope=Scope.WINDOW, duration=900)
SESSION = term(scope=Scope.SESSION, duration=900)


OPENS = "any, for 15 minutes from the approval"
ANOTHER_RULE = replace(WINDOW, rule=replace(WINDOW.rule, rule="b"))


def within(what: str, *terms: RequireApproval, window: str = "sha256:w", **more) -> Ask:
    return replace(
        ask(*(terms or (WINDOW,)), what=what, **more), window=window, opens="any, for 15 minutes from the approval"
    )


async def approved(home: House, asked: Ask) -> str:
    held = await home.broker.request(asked)
    done = await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    assert done.grant
    return done.grant


async def found(home: House, asked: Ask) -> Grant | None:
    who = asked.access.principal
    return await home.broker.find_grant(
        who.id,
        asked.access.target,
        asked.intent,
        asked.session,
        actor=who.actor,
        terms=asked.terms,
        window=asked.window,
    )


async def spent(home: House, grant: str, asked: Ask, exchange: str = "x-9") -> Grant:
    return await home.broker.spend(
        grant, wire="sha256:wire", exchange=exchange, terms=asked.terms, asked=asked_by(asked)
    )


async def test_window_clears_another_request_with_the_same_pins(home: House):
    grant = await approved(home, within("one"))
    other = within("two")
    cleared = await found(home, other)
    assert cleared is not None
    assert (cleared.id, cleared.opens) == (grant, OPENS)
    assert (await spent(home, grant, other)).state is GrantState.ACTIVE
    await home.later(901)
    assert await found(home, other) is None


@pytest.mark.threat("T61")
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param(within("one"), within("two", window="sha256:x"), id="other pins"),
        pytest.param(within("one"), within("two", window=""), id="no window"),
        pytest.param(within("one", window=""), within("two", window=""), id="both without"),
        pytest.param(within("one", term()), within("two", term()), id="once"),
        pytest.param(within("one"), within("two", who=principal("eve@example")), id="another principal"),
        pytest.param(within("one"), within("two", who=principal(agent="claude")), id="another agent"),
        pytest.param(within("one", SESSION, session="s"), within("two", SESSION, session="t"), id="another session"),
        pytest.param(within("one", SESSION, session="s"), within("two", SESSION), id="no session"),
        pytest.param(within("one"), within("two", ANOTHER_RULE), id="renamed"),
        pytest.param(
            within("one"),
            within("two", WINDOW, replace(WINDOW, rule=replace(WINDOW.rule, rule="b"))),
            id="one rule more",
        ),
        pytest.param(within("one"), within("two", replace(WINDOW, required=2)), id="more persons"),
        pytest.param(within("one"), within("two", replace(WINDOW, require_reason=True)), id="a reason"),
        pytest.param(
            within("one"), within("two", replace(WINDOW, reviewers=frozenset({"group:b"}))), id="other owners"
        ),
        pytest.param(within("one"), within("two", replace(WINDOW, duration=60.0)), id="a shorter window"),
    ],
)
async def test_window_clears_nothing_else_and_stays(home: House, given: Ask, wanted: Ask):
    grant = await approved(home, given)
    assert await found(home, wanted) is None
    with pytest.raises(GrantVoid):
        await spent(home, grant, wanted)
    kept = await found(home, given)
    assert kept is not None
    assert kept.id == grant


@pytest.mark.threat("T61")
async def test_rule_that_moved_in_its_file_is_the_same_rule(home: House):
    grant = await approved(home, within("one"))
    moved = replace(WINDOW, rule=replace(WINDOW.rule, where="prod.yaml:99"))
    cleared = await found(home, within("two", moved))
    assert cleared is not None
    assert cleared.id == grant


@pytest.mark.threat("T61")
async def test_stricter_policy_ends_a_window_that_is_open(home: House):
    grant = await approved(home, within("one"))
    stricter = replace(WINDOW, required=2)
    changes = await home.broker.redecide(lambda _: Permit("sha256:bb", (), (stricter,)))
    assert [(g.id, g.state) for g in changes.revoked] == [(grant, GrantState.REVOKED)]
    assert await found(home, within("two")) is None


@pytest.mark.threat("T61")
async def test_request_held_over_a_reload_that_pins_more_opens_itself_alone(home: House):
    wide = replace(WINDOW, widen=frozenset({"arguments"}))
    held = await home.broker.request(within("one", wide))
    await home.broker.redecide(lambda _: Permit("sha256:bb", (), (WINDOW,)))
    pending = await home.broker.get(held.id)
    assert (pending.state, pending.ask.window) == (ApprovalState.PENDING, "")
    assert pending.ask.opens.startswith("this very request alone")
    done = await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    # The rule as it was, and the window that was cut then: the approval was given for neither.
    assert await found(home, within("two", wide)) is None
    kept = await found(home, within("one"))
    assert kept is not None
    assert (kept.id, kept.window) == (done.grant, "")


async def test_window_survives_a_restart(home: House):
    grant = await approved(home, within("one"))
    await home.restart()
    cleared = await found(home, within("two"))
    assert cleared is not None
    assert (cleared.id, cleared.window) == (grant, "sha256:w")


async def test_one_stream_is_spent_once_and_ends_in_time(home: House):
    asked = within("one", SESSION)
    grant = await approved(home, asked)
    taken = await spent(home, grant, asked)
    assert (taken.scope, taken.state, taken.window) == (Scope.REQUEST, GrantState.SPENT, "")
    assert taken.stream_until == pytest.approx(taken.created_at + 900)
