"""A second gateway on what the first one owns refuses to start, and the first one serves on."""

from collections.abc import Iterator

import pytest
from tests.fakes.processes import GATEWAY, MITMDUMP, Program, free_port
from tests.fakes.world import UPSTREAM_TOKEN, World, call

pytestmark = pytest.mark.e2e

OWN = {
    "store": ("var/holdpoint.sqlite", "other/holdpoint.sqlite"),
    "recordings": ("folder: var/recordings", "folder: other/recordings"),
    "admin": ("var/run/admin.sock", "other/run/admin.sock"),
}
"""What each gateway needs for itself."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), json_response=True, stateless=True) as world:
        world.start()
        yield world


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        pytest.param("store", "is in use by process", marks=pytest.mark.failure("F-second-gateway"), id="store"),
        pytest.param(
            "recordings",
            "another gateway writes to this folder",
            marks=pytest.mark.failure("F-second-gateway"),
            id="recordings",
        ),
        pytest.param("admin", "listens there", marks=pytest.mark.failure("F-admin-taken"), id="admin-socket"),
    ],
)
def test_a_second_gateway_on_the_same_place_refuses_start(world: World, shared: str, said: str) -> None:
    text = world.settings_file.read_text()
    for name, (here, there) in OWN.items():
        assert here in text
        text = text if name == shared else text.replace(here, there)
    second = world.policies / f"second-{shared}.yaml"
    for port in (world.reverse, world.forward):
        text = text.replace(f'"127.0.0.1:{port}"', f'"127.0.0.1:{free_port()}"')
    second.write_text(text)
    command = [str(MITMDUMP), "-s", str(GATEWAY), "--set", f"holdpoint_config={second}"]
    gateway = Program(command, env={"NOTES_TOKEN": UPSTREAM_TOKEN, "HOME": str(world.folder)})
    assert gateway.wait() == 1, gateway.output
    assert "does not start" in gateway.output
    assert said in gateway.output
    assert "Traceback" not in gateway.output
    with world.client() as http:
        assert "welcome" in http.post(world.url, headers=world.headers(), json=call("list_notes")).text
