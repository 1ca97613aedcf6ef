"""Duties of a decision are met, or the request does not pass."""

from dataclasses import dataclass
from typing import Any, cast

import pytest

from holdpoint.domain.decision import Deny, DenyReason, Limit, MaskFields, Permit
from holdpoint.domain.refusal import RefusalKind
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.verdicts import denied, take_duties


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
