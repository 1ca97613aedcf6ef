"""An upstream that is sent one `id` twice may mix up the answers: each is held to the duties of both."""

import pytest

from holdpoint.domain.access import AccessRequest, Action, McpTool, Principal, Protocol
from holdpoint.domain.decision import GuardAnswer, RuleRef
from holdpoint.domain.exchange import Decoded, Identified, Received
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.under_way import MOST, UnderWay

GUARD = GuardAnswer(RuleRef("p", "r"), ("secret",))


def asked(
    request_id: str | int | None = 1, *, session="s", target="demo", batch: tuple[str | int, ...] = ()
) -> Decoded:
    principal = Principal("https://i", "u", "human")
    received = Received("ex", target, "l", "127.0.0.1", 0.0, "/")
    access = AccessRequest(principal, target, Action(Protocol.MCP, "tools/call"), McpTool("t"))
    return Decoded(Identified(received, principal), access, {}, request_id, session=session, batch_ids=batch)


def exchange(*masks: str, limit: int = 100, guards=()) -> Exchange:
    return Exchange("ex", masks=masks, response_limit=limit, guards=guards)


def duties(one: Exchange):
    return one.masks, one.response_limit, one.guards


def test_one_id_twice_is_held_to_the_duties_of_both() -> None:
    under_way = UnderWay()
    first, second = exchange("a"), exchange("b", limit=10, guards=(GUARD,))
    under_way.send(first, asked())
    under_way.send(second, asked())
    assert duties(first) == duties(second) == (("a", "b"), 10, (GUARD,))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(asked(2), id="another id"),
        pytest.param(asked(session="s2"), id="another session"),
        pytest.param(asked(target="other"), id="another target"),
        pytest.param(asked(session=""), id="no session"),
        pytest.param(asked(None), id="nothing to answer"),
    ],
)
def test_what_cannot_be_mixed_up_keeps_its_own_duties(other) -> None:
    under_way = UnderWay()
    first, second = exchange("a"), exchange("b")
    under_way.send(first, asked())
    under_way.send(second, other)
    assert (first.masks, second.masks) == (("a",), ("b",))


@pytest.mark.parametrize("same", [asked("1"), asked(None, batch=("x", 1)), asked(None, batch=("1",))])
def test_ids_that_a_server_takes_for_one_are_one(same) -> None:
    under_way = UnderWay()
    first, second = exchange("a"), exchange("b")
    under_way.send(first, asked())
    under_way.send(second, same)
    assert first.masks == second.masks == ("a", "b")


def test_an_id_that_was_answered_is_free_again() -> None:
    under_way = UnderWay()
    first, second = exchange("a"), exchange("b")
    under_way.send(first, asked())
    under_way.end(first, asked(), is_over=True)
    assert len(under_way) == 0
    under_way.send(second, asked())
    assert second.masks == ("b",)


def test_the_answer_of_a_call_that_was_given_up_may_still_come() -> None:
    under_way = UnderWay()
    first, second = exchange("a"), exchange("b")
    under_way.send(first, asked())
    under_way.end(first, asked(), is_over=False)
    under_way.send(second, asked())
    assert second.masks == ("a", "b")


def test_an_id_that_was_mixed_up_once_is_never_free() -> None:
    """The second may have been given the answer of the first: then its own is still to come."""
    under_way = UnderWay()
    first, second, third = exchange("a"), exchange("b"), exchange("c")
    under_way.send(first, asked())
    under_way.send(second, asked())
    under_way.end(first, asked(), is_over=True)
    under_way.end(second, asked(), is_over=True)
    under_way.send(third, asked())
    assert third.masks == ("a", "b", "c")


def test_an_answer_that_runs_already_is_not_mixed_with_what_is_masked_more() -> None:
    under_way = UnderWay()
    first = exchange("a")
    under_way.send(first, asked())
    first.streamed = True
    with pytest.raises(Refusal) as caught:
        under_way.send(exchange("b"), asked())
    assert caught.value.kind is RefusalKind.CONFLICT
    assert first.masks == ("a",)


def test_an_answer_that_runs_already_may_be_mixed_with_what_is_masked_alike() -> None:
    under_way = UnderWay()
    first, second = exchange("a", limit=10), exchange(limit=20)
    under_way.send(first, asked())
    first.streamed = True
    under_way.send(second, asked())
    assert duties(second) == (("a",), 10, ())


def test_what_is_remembered_is_bounded() -> None:
    under_way = UnderWay()
    for n in range(MOST + 10):
        under_way.send(exchange(), asked(n))
    assert len(under_way) == MOST


def test_the_end_of_what_was_never_sent_frees_nobody_elses_id() -> None:
    under_way = UnderWay()
    first = exchange("a")
    under_way.send(first, asked())
    under_way.end(exchange("b"), asked(), is_over=True)
    assert len(under_way) == 1
