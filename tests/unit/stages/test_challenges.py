"""What a refusal's challenge asks for, and from whom it is kept."""

import pytest

from holdpoint.domain.access import Principal, Protocol
from holdpoint.domain.decision import Deny, DenyReason
from holdpoint.domain.exchange import Identified, Received, Refused
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.metadata import Resource
from holdpoint.settings import Target
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.metadata import with_challenge
from holdpoint.stages.verdicts import denied

ADDRESS = 'resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp/demo"'
RULES = frozenset({"notes:read", "notes:write"})


def exchange(*granted: str, asks: frozenset[str] = frozenset({"openid"})) -> Exchange:
    """An exchange of a caller whose token has these scopes."""
    target = Target("demo", Protocol.MCP, "https", "notes.example", 443, "/mcp", scopes=asks)
    received = Received("ex-1", "demo", "routes", "127.0.0.1:1", 0.0, "/mcp")
    who = Principal("https://idp.example", "u-alice", "human", scopes=frozenset(granted))
    found = Exchange("ex-1", target=target, resource=Resource("https://gw.example", "/mcp/demo"))
    found.state = Refused("ex-1", Refusal(RefusalKind.DENIED, "no"), Identified(received, who))
    return found


@pytest.mark.parametrize(
    ("refusal", "challenge"),
    [
        pytest.param(
            Refusal(RefusalKind.UNAUTHENTICATED, "log in", challenge="Bearer"),
            f'Bearer scope="openid", {ADDRESS}',
            id="no token",
        ),
        pytest.param(
            Refusal(RefusalKind.UNAUTHENTICATED, "the token expired while the request was held"),
            f'Bearer error="invalid_token", scope="openid", {ADDRESS}',
            id="without a challenge of its own",
        ),
        pytest.param(
            Refusal(RefusalKind.BAD_REQUEST, "malformed", challenge='Bearer error="invalid_request"'),
            f'Bearer error="invalid_request", {ADDRESS}',
            id="malformed",
        ),
        pytest.param(Refusal(RefusalKind.DENIED, "policy does not allow this"), "", id="denied"),
        pytest.param(Refusal(RefusalKind.NOT_FOUND, "no target"), "", id="nowhere"),
        pytest.param(
            denied(Deny(DenyReason.SCOPE, scopes=frozenset({"notes:write"}))),
            f'Bearer error="insufficient_scope", scope="notes:read notes:write openid", {ADDRESS}',
            id="step-up",
        ),
    ],
)
def test_challenge_asks_for_what_this_refusal_is_about(refusal: Refusal, challenge: str):
    told = with_challenge(refusal, exchange("notes:read", "offline_access", "other:service"), RULES)
    assert told.challenge == challenge
    assert (told.kind, told.public, told.detail) == (refusal.kind, refusal.public, refusal.detail)


def test_step_up_keeps_what_made_it_a_refusal():
    refusal = Refusal(RefusalKind.UNAUTHENTICATED, "x", ticket="apr-1", link="https://c", retry_after=3)
    refusal.__cause__ = ValueError()
    told = with_challenge(refusal, exchange(), RULES)
    assert (told.ticket, told.link, told.retry_after) == ("apr-1", "https://c", 3)
    assert told.__cause__ is refusal.__cause__


@pytest.mark.parametrize(
    "decision",
    [
        pytest.param(Deny(DenyReason.SCOPE), id="without scopes"),
        pytest.param(Deny(DenyReason.RULE, scopes=frozenset({"a"})), id="for another reason"),
    ],
)
def test_denial_that_no_scope_would_lift_has_no_challenge(decision: Deny):
    assert denied(decision).challenge == ""
    assert with_challenge(denied(decision), exchange(), RULES).challenge == ""


def test_before_a_target_is_known_nothing_of_one_is_said():
    told = with_challenge(Refusal(RefusalKind.UNAUTHENTICATED, "x", challenge="Bearer"), Exchange("ex-1"), RULES)
    assert told.challenge == "Bearer"
