"""Which rung a held caller gets, by version, method, capabilities and settings."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.approvals import principal

from holdpoint.domain.access import AccessRequest, Action, HttpPath, McpMethod, Protocol
from holdpoint.domain.exchange import Decoded, Identified, Received
from holdpoint.protocols.mcp_holds import Round
from holdpoint.settings import Hold, Rung
from holdpoint.stages.ladder import choose

LINK = "https://review.example/requests/apr-1"
URL = {"elicitation": {"url": {}}}
FORM = {"elicitation": {"form": {}}}
ROUNDS, SHOWN, EVENTS, TICKET = Rung.MULTI_ROUND_TRIP, Rung.ELICITATION, Rung.EVENTS, Rung.TICKET
HOLD = Hold(wait=50, leg=45, grace=2, keepalive=10, rounds=9)
NEW, OLD, OLDER, OLDEST = "2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"


def asked(version: str, verb: str = "tools/call", *, sse: bool = True, **more: Any) -> Decoded:
    who = principal()
    access = AccessRequest(who, "demo", Action(Protocol.MCP, verb), McpMethod())
    state = Identified(Received("ex-1", "demo", "routes", "127.0.0.1", 0.0, "/"), who)
    return replace(Decoded(state, access, {}, request_id=1, protocol_version=version, accepts_sse=sse), **more)


def without(*rungs: Rung) -> Hold:
    return replace(HOLD, ladder=frozenset(Rung) - set(rungs))


def at_round(number: int, **more: Any) -> Round:
    return Round("apr-1", number, "sha256:x", "u", 0.0, **more)


@pytest.mark.parametrize(
    ("call", "hold", "rung", "wait", "shows"),
    [
        pytest.param(asked(NEW), HOLD, ROUNDS, 45, False, id="current tool"),
        pytest.param(asked(NEW, "prompts/get"), HOLD, ROUNDS, 45, False, id="current prompt"),
        pytest.param(asked(NEW, "resources/read"), HOLD, ROUNDS, 45, False, id="current resource"),
        pytest.param(asked(NEW, "tools/list"), HOLD, TICKET, 50, False, id="current list takes no rounds"),
        pytest.param(asked(NEW, "subscriptions/listen"), HOLD, TICKET, 50, False, id="current subscription"),
        pytest.param(asked(NEW, sse=False), HOLD, ROUNDS, 45, False, id="current takes rounds as JSON"),
        pytest.param(asked(NEW, capabilities=URL), HOLD, ROUNDS, 2, True, id="current that shows a URL"),
        pytest.param(asked(NEW, capabilities=FORM), HOLD, ROUNDS, 45, False, id="current with forms alone"),
        pytest.param(asked(NEW, "tools/list", capabilities=URL), HOLD, TICKET, 50, False, id="URL on a list"),
        pytest.param(asked(NEW, capabilities=URL), without(SHOWN), ROUNDS, 45, False, id="current, URLs off"),
        pytest.param(asked(NEW, capabilities=URL), without(ROUNDS), TICKET, 50, False, id="current, rounds off"),
        pytest.param(asked(OLD), HOLD, EVENTS, 50, False, id="2025-11-25"),
        pytest.param(asked(OLD, capabilities=URL), HOLD, SHOWN, 2, True, id="2025-11-25 that shows a URL"),
        pytest.param(asked(OLD, "prompts/get", capabilities=URL), HOLD, SHOWN, 2, True, id="its prompt"),
        pytest.param(asked(OLD, capabilities=FORM), HOLD, EVENTS, 50, False, id="2025-11-25 with forms alone"),
        pytest.param(asked(OLD, capabilities=URL), without(SHOWN), EVENTS, 50, False, id="2025-11-25, URLs off"),
        pytest.param(asked(OLD, "initialize", capabilities=URL), HOLD, EVENTS, 50, False, id="no URL before a session"),
        pytest.param(asked(OLDER, capabilities=URL), HOLD, EVENTS, 50, False, id="no URL in 2025-06-18"),
        pytest.param(asked(OLDEST, capabilities=URL), HOLD, EVENTS, 50, False, id="no URL in 2025-03-26"),
        pytest.param(asked(OLDER), HOLD, EVENTS, 50, False, id="2025-06-18"),
        pytest.param(asked(OLDEST), HOLD, EVENTS, 50, False, id="2025-03-26"),
        pytest.param(asked(OLD, sse=False), HOLD, TICKET, 50, False, id="takes no events"),
        pytest.param(asked(OLD), replace(HOLD, wait=2.0), TICKET, 2, False, id="no longer than the grace"),
        pytest.param(asked(OLD), without(EVENTS), TICKET, 50, False, id="events off"),
        pytest.param(asked(OLD, "session/listen", request_id=None), HOLD, TICKET, 50, False, id="a GET"),
        pytest.param(asked("", capabilities=URL), HOLD, TICKET, 50, False, id="unknown version"),
        pytest.param(asked(OLDEST, "batch", request_id=None, batch_ids=(1, 2)), HOLD, EVENTS, 50, False, id="a batch"),
        pytest.param(asked(NEW), Hold(ladder=frozenset({TICKET})), TICKET, 50, False, id="tickets alone, current"),
        pytest.param(asked(OLD), Hold(ladder=frozenset({TICKET})), TICKET, 50, False, id="tickets alone, 2025"),
    ],
)
def test_the_best_rung_that_the_request_says_it_has(
    call: Decoded, hold: Hold, rung: Rung, wait: float, shows: bool
) -> None:
    plan = choose(call, hold, link=LINK)
    assert (plan.rung, plan.wait, plan.shows_link) == (rung, wait, shows)


@pytest.mark.parametrize("version", [NEW, OLD])
def test_no_link_is_shown_where_there_is_no_console(version: str) -> None:
    assert not choose(asked(version, capabilities=URL), HOLD, link="").shows_link


def test_what_a_client_calls_itself_never_counts() -> None:
    call = asked(OLD)
    named = replace(call, access=replace(call.access, unverified={"client": "claude-code", "protocol_version": NEW}))
    assert choose(named, HOLD, link=LINK) == choose(call, HOLD, link=LINK)


def test_plain_http_keeps_waiting_on_its_socket() -> None:
    call = asked(NEW, capabilities=URL)
    access = replace(call.access, action=Action(Protocol.HTTP, "post"), resource=HttpPath("web", "/"))
    assert choose(replace(call, access=access), HOLD, link=LINK).rung is TICKET


@pytest.mark.parametrize(
    ("before", "rung", "wait", "shows"),
    [
        pytest.param(at_round(1), ROUNDS, 45, True, id="next"),
        pytest.param(at_round(1, asked=True), ROUNDS, 2, True, id="asked and not answered: asked again"),
        pytest.param(at_round(1, asked=True, choice="accept"), ROUNDS, 45, False, id="the user accepted"),
        pytest.param(at_round(8), ROUNDS, 45, False, id="last but one"),
        pytest.param(at_round(9), TICKET, 45, False, id="the last before an SDK gives up"),
        pytest.param(at_round(10_000), TICKET, 45, False, id="long past"),
    ],
)
def test_rounds_end_with_the_ticket_before_a_client_gives_up(
    before: Round, rung: Rung, wait: float, shows: bool
) -> None:
    capabilities: dict[str, Any] = URL if before.asked else {}
    plan = choose(asked(NEW, capabilities=capabilities), HOLD, link=LINK, round_=before)
    assert (plan.rung, plan.wait) == (rung, wait)
    assert plan.shows_link is (shows and before.asked and before.choice is None)


def test_a_call_that_carries_too_much_of_an_upstreams_rounds_gets_a_ticket() -> None:
    assert choose(asked(NEW), HOLD, link=LINK, fits=False).rung is TICKET


def test_nothing_of_the_hold_shows_in_the_time_of_grace() -> None:
    plan = choose(asked(OLD), HOLD, link=LINK)
    assert (plan.grace, plan.keepalive) == (2, 10)
