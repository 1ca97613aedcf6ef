from collections.abc import Iterator

import pytest
from tests.fakes.issuer import FakeIssuer

from holdpoint.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def idp(clock: ManualClock) -> Iterator[FakeIssuer]:
    with FakeIssuer(clock=clock, alg="ES256") as issuer:
        yield issuer
