"""Settings that fit the fake issuer."""

from dataclasses import replace
from typing import Any

from tests.fakes.issuer import FakeIssuer

from holdpoint.settings import Issuer


def settings_for(issuer: FakeIssuer, **changes: Any) -> Issuer:
    """Trust the issuer for its own audience under the name `idp`, but for what is changed."""
    base = Issuer(
        name="idp",
        url=issuer.url,
        algorithms=frozenset({"RS256"}),
        audiences=frozenset({issuer.audience}),
        login_client_id="holdpoint-cli",
    )
    return replace(base, **changes)
