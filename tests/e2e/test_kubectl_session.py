"""A session of more than a hundred kubectl commands shows the same through the gateway as without it."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from tests.fakes.kube_script import STEPS, Road, Step, normal
from tests.fakes.kube_server import KubeServer
from tests.fakes.kube_world import KubeWorld, kubectls

pytestmark = pytest.mark.e2e


@dataclass(frozen=True, slots=True)
class Sessions:
    """What was seen, by step."""

    direct: dict[str, str]
    through: dict[str, str]
    world: KubeWorld


def _run(road: Road) -> dict[str, str]:
    return {step.name: _seen(step, road) for step in STEPS}


def _seen(step: Step, road: Road) -> str:
    try:
        return step.act(road)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as failed:  # one step must not hide the others
        return f"{road.config.name}: {failed!r}"


@pytest.fixture(scope="module", params=range(len(kubectls())), ids=lambda n: f"kubectl-{n}")
def sessions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """The whole session over both roads at once, each to an API server of its own that knows the same."""
    program = kubectls()[request.param]
    folder = tmp_path_factory.mktemp("session")
    with KubeWorld(folder) as world, KubeServer(folder / "other", born=world.cluster.store.born) as other:
        world.start()
        through = Road(world, world.cluster, world.route(), program, "/k8s/cluster")
        direct = Road(world, other, world.direct_to(other), program)
        with ThreadPoolExecutor(2) as pool:
            seen = list(pool.map(_run, (direct, through)))
        yield Sessions(seen[0], seen[1], world)


@pytest.mark.parametrize("step", [s.name for s in STEPS])
def test_command_shows_the_same(step: str, sessions: Sessions) -> None:
    assert normal(sessions.through[step]) == normal(sessions.direct[step])
