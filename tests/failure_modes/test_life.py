"""Start, change under way, and end: what is wrong refuses to start, and nothing opens the proxy while it runs."""

import shutil
import signal
import socket
from pathlib import Path

import pytest
from tests.fakes.processes import ROOT
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused_start(world: World, *options: str, script: Path | None = None) -> str:
    """Start, expect exit status 1, and return what was said. Nothing may listen meanwhile."""
    gateway = world.launch(*options, **({"script": script} if script else {}))
    assert gateway.wait() == 1, gateway.output
    assert "listening" not in gateway.output
    world.gateway = None
    return gateway.output


@pytest.mark.failure("F-options")
@pytest.mark.threat("T13")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--set", "ignore_hosts=.*"], "option `ignore_hosts` must keep its default", id="ignore-hosts"),
        pytest.param(["--set", "ssl_insecure=true"], "option `ssl_insecure` must keep its default", id="ssl-insecure"),
        pytest.param(["--set", "stream_large_bodies=1k"], "option `stream_large_bodies`", id="stream-large-bodies"),
        pytest.param(["-w", "/dev/null"], "option `save_stream_file`", id="save-stream-file"),
        pytest.param(["--mode", "socks5"], "option `mode` is set by the gateway", id="mode"),
        pytest.param(["--set", "no_such_option=1"], "option `no_such_option` does not exist", id="unknown"),
        pytest.param(["--set", "flow_detail=4"], "option `flow_detail` is set by the gateway", id="flow-detail"),
        pytest.param(["--set", "map_remote=|a|b"], "option `map_remote`", id="map-remote"),
    ],
)
def test_an_option_that_opens_the_proxy_refuses_start(world: World, options: list[str], said: str) -> None:
    with world:
        assert said in refused_start(world, *options)


@pytest.mark.failure("F-options")
@pytest.mark.threat("T13")
def test_a_second_script_refuses_start(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("def request(flow): flow.response = None\n")
    with world:
        assert "the only script" in refused_start(world, "-s", str(other))


@pytest.mark.failure("F-start")
def test_no_settings_at_all_refuse_start(world: World) -> None:
    with world:
        world.settings_file.unlink()
        assert "gateway.yaml" in refused_start(world)


@pytest.mark.failure("F-start")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("kind: Gateway", "kind: Gateway\nlisteer: []", "unknown key `listeer`", id="unknown-key"),
        pytest.param("kind: Gateway", "kind: Gateway\nkind: Gateway", "duplicate key `kind`", id="duplicate-key"),
        pytest.param('listen: "127.0.0.1:', 'listen: "0.0.0.0:', "plain", id="plain-http-outside-loopback"),
        pytest.param("[demo.yaml,", "[missing.yaml,", "missing.yaml", id="missing-policy"),
        pytest.param("[RS256, ES256]", "[none]", "none", id="algorithm-none"),
        pytest.param(
            "env: NOTES_TOKEN",
            "env: NOT_SET_ANYWHERE",
            "NOT_SET_ANYWHERE",
            marks=pytest.mark.failure("F-credential-missing"),
            id="missing-secret",
        ),
    ],
)
def test_a_bad_setting_refuses_start_with_its_place(world: World, old: str, new: str, said: str) -> None:
    with world:
        text = world.settings_file.read_text()
        assert old in text
        world.settings_file.write_text(text.replace(old, new))
        output = refused_start(world)
        assert said in output
        assert "gateway.yaml" in output or said.isupper()
        assert "Traceback" not in output


@pytest.mark.failure("F-bundle-start")
@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("effect: deny", "efect: deny", "unknown key `efect`", id="typo"),
        pytest.param("effect: deny", "effect: dny", "`dny`", id="wrong-effect"),
        pytest.param("name: no-destruction", "name: 7", "text", id="wrong-type"),
    ],
)
def test_a_bad_policy_refuses_start_with_file_and_line(world: World, old: str, new: str, said: str) -> None:
    with world:
        policy = world.policies / "demo.yaml"
        text = policy.read_text()
        assert old in text
        policy.write_text(text.replace(old, new, 1))
        output = refused_start(world)
        assert said in output
        assert "demo.yaml:" in output


@pytest.mark.failure("F-port-taken")
def test_an_occupied_port_refuses_start(world: World) -> None:
    with world, socket.socket() as taken:
        taken.bind(("127.0.0.1", world.reverse))
        taken.listen()
        gateway = world.launch()
        assert gateway.wait() == 1
        assert str(world.reverse) in gateway.output
        world.gateway = None


def serves(world: World) -> bool:
    """Whether a call without a token is refused as it should be: served by the pipeline."""
    with world.client() as http:
        return http.post(world.url, headers=world.headers("nonsense"), json=call("list_notes")).status_code == 401


@pytest.mark.threat("T13")
@pytest.mark.failure("F-script")
@pytest.mark.parametrize("change", ["edited", "broken", "deleted"])
def test_a_changed_entry_script_changes_nothing_that_runs(world: World, tmp_path: Path, change: str) -> None:
    script = tmp_path / "addons" / "gateway.py"
    script.parent.mkdir()
    shutil.copy(ROOT / "addons" / "gateway.py", script)
    with world:
        gateway = world.start(script=script)
        match change:
            case "edited":
                script.write_text("addons = []\n")
            case "broken":
                script.write_text("def (\n")
            case _:
                script.unlink()
        # mitmproxy looks once a second: give it the chance, by doing what takes longer than that.
        for _ in range(3):
            assert serves(world)
            with pytest.raises(RuntimeError, match="no `Loading script`"):
                gateway.wait_for("Loading script", timeout=1.0)
        assert serves(world)
        assert not world.notes.seen.requests


@pytest.mark.failure("F-unload")
def test_an_unloaded_gateway_ends_the_proxy(world: World, tmp_path: Path) -> None:
    script = tmp_path / "unloaded.py"
    script.write_text(
        "import asyncio, signal\n"
        "from mitmproxy import ctx\n"
        f"import sys; sys.path.insert(0, {str(ROOT / 'addons')!r})\n"
        "from gateway import addons\n"
        "class Unload:\n"
        "    def running(self):\n"
        "        loop = asyncio.get_running_loop()\n"
        "        loop.add_signal_handler(signal.SIGUSR1, lambda: ctx.options.update(scripts=[]))\n"
        "addons = [*addons, Unload()]\n"
    )
    with world:
        gateway = world.start(script=script)
        assert serves(world)
        gateway.process.send_signal(signal.SIGUSR1)
        assert gateway.wait() == 70
        world.gateway = None
        assert not world.notes.seen.requests


@pytest.mark.failure("F-sigterm")
def test_a_terminated_gateway_ends_cleanly_and_starts_again(world: World) -> None:
    with world:
        first = world.start()
        assert serves(world)
        assert first.stop() == 0
        world.start()
        assert serves(world)


@pytest.mark.failure("F-script-start")
@pytest.mark.parametrize("text", ["def (\n", "import no_such_module\n"])
def test_an_entry_script_that_cannot_be_loaded_ends_the_start(world: World, tmp_path: Path, text: str) -> None:
    script = tmp_path / "broken.py"
    script.write_text(text)
    with world:
        # As `holdpoint run` starts it: without this flag mitmproxy opens its default port until it ends.
        gateway = world.launch("--set", "server=false", script=script)
        assert gateway.wait() == 1, gateway.output
        assert "listening" not in gateway.output
        world.gateway = None
