"""The commands by which an operator stops somebody, as they are typed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.processes import ROOT
from tests.fakes.world import World, call, environment

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T87")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        world.start()
        yield world


def holdpoint(world: World, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "holdpoint.cli", "--config", str(world.settings_file), *words]
    env = {**environment(), **world.SECRETS, "PYTHONPATH": str(ROOT / "addons"), "HOME": str(Path(world.folder))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)
    return done.returncode, done.stdout + done.stderr


def status(world: World) -> int:
    with world.client() as http:
        return http.post(world.url, headers=world.headers(), json=call("list_notes")).status_code


def test_suspend_says_what_it_matches_ends_it_and_resume_lets_in_again(world: World) -> None:
    assert holdpoint(world, "principals", "list") == (0, "nobody is suspended\n")
    assert holdpoint(world, "principals", "suspend", "u-alice", "--dry-run") == (
        0,
        "u-alice matches nothing: no request, grant or stream\n",
    )
    before = status(world)
    done, said = holdpoint(world, "principals", "suspend", "u-alice", "--reason", "stolen", "--for", "8h")
    assert done == 0, said
    assert said.startswith("u-alice matches nothing: no request, grant or stream\nsuspended u-alice until 2")
    assert status(world) == 403
    _, listed = holdpoint(world, "principals", "list")
    assert "u-alice" in listed
    assert "stolen" in listed
    assert holdpoint(world, "principals", "resume", "u-alice") == (0, "resumed u-alice\n")
    assert status(world) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("principals", "suspend", ""), "say who", id="nobody"),
        pytest.param(("principals", "suspend", "*"), "patterns are not known", id="everybody"),
        pytest.param(("principals", "suspend", "u-bob", "--for", "soon"), "is no duration", id="no-time"),
        pytest.param(("principals", "suspend", "u-bob", "--reason", "a\nb"), "one line", id="two-lines"),
        pytest.param(("principals", "resume", "u-bob"), "is not suspended", id="not-suspended"),
        pytest.param(("grants", "revoke", "grt-none"), "there is no such grant", id="no-grant"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_done(world: World, words: tuple[str, ...], said: str) -> None:
    done, told = holdpoint(world, *words)
    assert done == 1
    assert said in told
    assert holdpoint(world, "principals", "list") == (0, "nobody is suspended\n")


def test_grants_are_listed(world: World) -> None:
    assert holdpoint(world, "grants", "list") == (0, "nothing is open by an approval\n")
    assert holdpoint(world, "grants", "list", "--all", "--json") == (0, "[]\n")
