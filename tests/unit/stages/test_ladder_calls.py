"""Which held request a caller means by an id."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.approvals import principal

from holdpoint.domain.access import AccessRequest, Action, McpMethod, Principal, Protocol
from holdpoint.domain.exchange import Decoded, Identified, Received
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.ladder_calls import HeldCalls
from holdpoint.stages.ladder_line import cancelled


def asked(request_id: Any = 7, *, who: Principal | None = None, target: str = "demo", **more: Any) -> Decoded:
    who = who or principal()
    access = AccessRequest(who, target, Action(Protocol.MCP, "tools/call"), McpMethod())
    state = Identified(Received("ex-1", target, "routes", "127.0.0.1", 0.0, "/"), who)
    return replace(Decoded(state, access, {}, request_id, "2025-11-25", "s-1"), **more)


@pytest.mark.failure("F-cancelled")
@pytest.mark.parametrize(
    ("by", "request_id", "found"),
    [
        pytest.param(asked(), 7, True, id="its caller"),
        pytest.param(asked(1), 7, True, id="its caller, whatever the id of the cancellation"),
        pytest.param(asked(), 8, False, id="another id"),
        pytest.param(asked(), "7", False, id="the id as text"),
        pytest.param(asked(session="s-2"), 7, False, id="another session"),
        pytest.param(asked(session=""), 7, False, id="no session"),
        pytest.param(asked(who=principal("eve@example")), 7, False, id="another principal"),
        pytest.param(asked(who=principal(agent="bot")), 7, False, id="an agent of the same principal"),
        pytest.param(asked(target="other"), 7, False, id="another target"),
    ],
)
def test_a_caller_cancels_his_own_requests_alone(by: Decoded, request_id: str | int, found: bool) -> None:
    held, exchange = HeldCalls(), Exchange("ex-1")
    held.add(asked(), exchange)
    assert held.cancel(by, request_id) == ([exchange] if found else [])
    assert exchange.cancelled is found


def test_what_is_held_no_more_cannot_be_cancelled() -> None:
    held, one, two = HeldCalls(), Exchange("ex-1"), Exchange("ex-2")
    held.add(asked(), one)
    held.add(asked(), two)
    held.remove(asked(), one)
    held.remove(asked(), one)
    assert held.cancel(asked(), 7) == [two]
    held.remove(asked(), two)
    assert held.cancel(asked(), 7) == []
    assert not held._held


def test_every_id_of_a_batch_names_the_whole() -> None:
    held, exchange = HeldCalls(), Exchange("ex-1")
    batch = asked(None, batch_ids=(1, "two"))
    held.add(batch, exchange)
    assert held.cancel(asked(), "two") == [exchange]
    held.remove(batch, exchange)
    assert not held._held


@pytest.mark.parametrize(
    ("call", "silent"),
    [
        pytest.param(asked(), True, id="in a session nothing is said"),
        pytest.param(asked(session=""), False, id="without one it may be another program's id"),
        pytest.param(asked(None, batch_ids=(1, 2)), False, id="the rest of a batch is owed an answer"),
    ],
)
def test_who_cancels_is_told_nothing_more(call: Decoded, silent: bool) -> None:
    assert (cancelled(call, "apr-1").answer == {}) is silent
