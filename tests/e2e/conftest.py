"""Shared by the end-to-end tests: one world with a gateway for each module."""

from collections.abc import Iterator

import pytest
from tests.fakes.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        world.start()
        yield world
