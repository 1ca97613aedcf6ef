from collections.abc import Iterator

import pytest
from tests.fakes.issuer import FakeIssuer

from holdpoint.clock import ManualClock


@pytest.fixture(scope="module")
def wall() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def idp(wall: ManualClock) -> Iterator[FakeIssuer]:
    with FakeIssuer(clock=wall) as issuer:
        yield issuer
