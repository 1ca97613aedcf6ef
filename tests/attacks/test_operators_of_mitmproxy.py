"""Whoever works mitmproxy itself cannot open it: no web interface, option, replay or resume lets a request through."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.processes import GATEWAY, MITMDUMP, ROOT, Program
from tests.fakes.raw_upstream import RawUpstream
from tests.fakes.world import UPSTREAM_TOKEN, World, call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T06")]

SCRIPT = f"""
import asyncio, signal, sys
sys.path.insert(0, {str(ROOT / "addons")!r})
from mitmproxy import ctx
from gateway import addons

class Operator:
    # Somebody who has mitmproxy's own commands and options in hand while the gateway runs.
    def __init__(self):
        self.flows = []

    def running(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.work)

    def response(self, flow):
        self.flows.append(flow)

    def set(self, **options):
        try:
            ctx.options.update(**options)
            print("set", options, "done", flush=True)
        except Exception as error:
            print("set", options, "failed:", error, flush=True)

    def work(self):
        for options in (
            dict(ssl_insecure=True), dict(ignore_hosts=[".*"]), dict(map_remote=["|.*|http://x|"]),
            dict(stream_large_bodies="1"),
            dict(rawtcp=True), dict(upstream_cert=True), dict(body_size_limit=None), dict(connection_strategy="eager"),
        ):
            self.set(**options)
        held = [f for f in self.flows if f.response and f.response.status_code != 200]
        for flow in self.flows:
            copy = flow.copy()
            copy.response = None
            try:
                ctx.master.commands.call("replay.client", [copy])
            except Exception as error:
                print("replay failed:", error, flush=True)
        for flow in held:
            flow.resume()
        print("operator done", len(self.flows), flush=True)

addons = [*addons, Operator()]
"""


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as upstream:
        yield upstream


@pytest.fixture
def world(tmp_path: Path, upstream: RawUpstream) -> Iterator[World]:
    world = World(tmp_path, hold_wait="0s")
    world.write_settings(**{world.notes.url: upstream.url})
    with world:
        yield world


def ask(world: World, tool: str) -> str:
    with world.client() as http:
        return http.post(world.url, headers=world.headers(), json=call(tool, {"name": "x"})).text


def test_options_commands_and_a_resume_let_nothing_through(world: World, upstream: RawUpstream, tmp_path: Path) -> None:
    script = tmp_path / "operator.py"
    script.write_text(SCRIPT)
    gateway = world.start(script=script)
    assert "well" in ask(world, "read_note")
    assert "held" in ask(world, "write_note")
    assert "nobody drops" in ask(world, "drop_everything")
    assert len(upstream.requests) == 1
    gateway.process.send_signal(signal.SIGUSR1)
    assert gateway.wait_for("operator done").endswith("3\n")
    assert "well" in ask(world, "read_note")
    assert "held" in ask(world, "write_note")
    said = [line for line in gateway.lines if line.startswith("set ")]
    assert len(said) == 8
    assert [line for line in said if " failed: " not in line] == []
    assert len(upstream.requests) == 2, gateway.output


def test_the_web_interface_does_not_run_the_gateway(world: World, upstream: RawUpstream) -> None:
    command = [
        *(str(MITMDUMP.with_name("mitmweb")), "--no-web-open-browser", "--set", "web_port=0"),
        *("-s", str(GATEWAY), "--set", f"holdpoint_config={world.settings_file}"),
    ]
    web = Program(command, env={"NOTES_TOKEN": UPSTREAM_TOKEN, "HOME": str(world.folder)})
    try:
        assert web.wait(timeout=20) == 1, web.output
        assert "run the gateway with mitmdump" in web.output
        assert upstream.requests == []
    finally:
        if web.process.poll() is None:
            web.stop()
