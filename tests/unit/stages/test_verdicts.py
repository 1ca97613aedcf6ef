"""Duties of a decision are met, or the request does not pass."""

from dataclasses import dataclass
from typing import Any, cast

import pytest

from holdpoint.domain.access import AccessRequest, Action, McpMethod, Principal, Protocol
from holdpoint.domain.decision import Decision, Deny, DenyReason, Limit, MaskFields, Permit
from holdpoint.domain.exchange import Decoded, Identified, Received
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.protocols.mcp_refusals import NOT_SENT
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.verdicts import check_members, denied, owed_to_batch, take_duties


@dataclass(frozen=True)
class Novel:
    """A duty of a version to come."""


@pytest.mark.failure("F-obligation")
def test_unknown_duty_does_not_pass() -> None:
    with pytest.raises(AssertionError):
        take_duties(Exchange("ex-1"), Permit("sha256:x", (), (cast("Any", Novel()),)))


def test_duties_only_ever_tighten() -> None:
    exchange = Exchange("ex-1", masks=("credentials",), response_limit=100)
    take_duties(exchange, Permit("sha256:x", (), (MaskFields(("personal-data",)), Limit(1000))))
    assert exchange.masks == ("credentials", "personal-data")
    assert exchange.response_limit == 100


def test_empty_denial_is_a_denial_that_explains_nothing() -> None:
    refusal = denied(Deny(DenyReason.NO_RULE))
    assert refusal.kind is RefusalKind.DENIED
    assert refusal.public == "policy does not allow this"


def test_leg_that_may_not_is_named_to_the_operator_alone() -> None:
    refusal = denied(Deny(DenyReason.NO_RULE, legs=("the call came through `holdpoint#mcp-server:ops`",)))
    assert refusal.public == "policy does not allow this"
    assert refusal.detail == "no rule allows this; the call came through `holdpoint#mcp-server:ops`"


# -- batches -----------------------------------------------------------------------------------------------------------

PRINCIPAL = Principal("https://i", "u", "human")
NO = Deny(DenyReason.RULE, message="no shells")
YES = Permit("sha256:x", ())


def access(verb: str, *members: AccessRequest) -> AccessRequest:
    return AccessRequest(PRINCIPAL, "demo", Action(Protocol.MCP, verb), McpMethod(), members=members)


BATCH = access(
    "batch", access("tools/list"), access("notifications/cancelled"), access("tools/call"), access("response")
)


def batch_call(
    request: AccessRequest = BATCH, ids: tuple[str | int, ...] = ("l", 7), at: tuple[int, ...] = (0, 2)
) -> Decoded:
    received = Received("ex", "demo", "l", "127.0.0.1", 0.0, "/")
    return Decoded(Identified(received, PRINCIPAL), request, {}, batch_ids=ids, batch_at=at)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ((YES, YES, NO, YES), [NOT_SENT, "no shells"]),
        ((NO, YES, NO, YES), ["no shells", "no shells"]),
        ((YES, NO, YES, YES), [NOT_SENT, NOT_SENT]),
        ((Deny(), YES, YES, YES), ["policy does not allow this", NOT_SENT]),
        ((), [None, None]),
    ],
    ids=["one", "two", "one that is owed nothing", "without a reason", "nobody said which"],
)
def test_each_request_of_a_batch_is_told_its_own_reason(members: tuple[Decision, ...], told: list[str | None]) -> None:
    decision = Deny(DenyReason.RULE, message="no shells", members=members)
    owed = owed_to_batch(denied(decision), batch_call(), decision)
    assert [(o.id, o.verb, o.public) for o in owed] == [("l", "tools/list", told[0]), (7, "tools/call", told[1])]


def test_what_holds_for_the_whole_batch_is_told_to_all() -> None:
    owed = owed_to_batch(Refusal(RefusalKind.HELD, "held"), batch_call(), None)
    assert [o.public for o in owed] == [None, None]


@pytest.mark.parametrize(
    "members",
    [(), (YES,), (YES, YES, YES, YES, YES), (YES, YES, NO, YES)],
    ids=["nothing said", "too few", "too many", "one denied"],
)
def test_a_batch_passes_only_if_each_member_was_permitted(members: tuple[Decision, ...]) -> None:
    with pytest.raises(GatewayFault):
        check_members(BATCH, Permit("sha256:x", (), members=members))


def test_a_batch_passes_if_each_member_was_permitted() -> None:
    check_members(BATCH, Permit("sha256:x", (), members=(YES,) * 4))
    check_members(access("tools/list"), YES)
    check_members(BATCH, NO)
