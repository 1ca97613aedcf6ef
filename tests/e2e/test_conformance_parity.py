"""The gateway changes nothing that MCP's conformance suite can see: every check comes out as it does without it."""

from collections.abc import Iterator

import pytest
from tests.fakes.bearer_hop import BearerHop
from tests.fakes.conformance import Checks, Suite, differences, passed
from tests.fakes.everything_server import EverythingServer
from tests.fakes.everything_world import EverythingWorld

pytestmark = pytest.mark.e2e

KNOWN = {"2025-03-26": 3, "2025-06-18": 56, "2025-11-25": 84, "2026-07-28": 152}
"""Checks that pass against the everything server. For 2025-03-26 the suite has the lifecycle of sessions alone."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EverythingWorld]:
    with EverythingWorld(tmp_path_factory.mktemp("parity")) as world:
        world.start()
        yield world


@pytest.fixture(scope="module")
def alone() -> Iterator[EverythingServer]:
    """Another everything server, with no gateway before it."""
    with EverythingServer() as server:
        yield server


def run(
    world: EverythingWorld, alone: EverythingServer, version: str, folder: pytest.TempPathFactory
) -> tuple[Checks, Checks]:
    """Run the suite directly and through the gateway, both at once."""
    place = folder.mktemp(f"suite-{version}")
    with BearerHop(world.everything_url, world.token()) as hop:
        runs = [Suite(alone.url, version, place / "direct"), Suite(hop.url, version, place / "through")]
        try:
            direct, through = (one.finish() for one in runs)
        finally:
            for one in runs:
                one.stop()
    return direct, through


@pytest.mark.parametrize("version", list(KNOWN))
def test_every_check_comes_out_as_it_does_without_the_gateway(
    world: EverythingWorld, alone: EverythingServer, version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    direct, through = run(world, alone, version, tmp_path_factory)
    assert passed(direct) >= KNOWN[version]
    assert not differences(direct, through), "\n".join(differences(direct, through))
