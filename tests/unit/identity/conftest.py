from collections.abc import Iterator

import pytest
from tests.fakes.issuer import FakeIssuer

from holdpoint.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def one_issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer(alg="ES256") as issuer:
        yield issuer


@pytest.fixture
def idp(one_issuer: FakeIssuer, clock: ManualClock) -> FakeIssuer:
    one_issuer.reset(clock)
    return one_issuer
