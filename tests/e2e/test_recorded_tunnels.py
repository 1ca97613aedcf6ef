"""What was shown over an upgraded connection is in the recording: masked, vouched for, and there after a kill."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from tests.fakes.pod_world import Client, PodWorld
from tests.fakes.processes import MITMDUMP, ROOT
from tests.fakes.wire import Wire

from holdpoint.keys import load_ring
from holdpoint.recording.report import Report
from holdpoint.recording.verify import verify
from holdpoint.settings_file import load_settings

AWS = "AKIAIOSFODNN7EXAMPLE"
SHELL = f"printf 'id {AWS[:9]}'; printf '{AWS[9:]}\\n'; echo no >&2; exit 3"
both = pytest.mark.parametrize("is_spdy", [False, True], ids=["websocket", "spdy"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PodWorld]:
    with PodWorld(tmp_path) as made:
        yield made


def began(world: PodWorld, *command: str, is_spdy: bool, stdin: bool = False, tty: bool = False) -> Client:
    path = world.path("exec", "default", *command, stdin=stdin, tty=tty)
    streams = ("error", *(["stdin"] if stdin else []), "stdout", *(["resize"] if tty else ["stderr"]))
    client = Client(Wire(world.reverse, timeout=30), is_spdy)
    client.begin(world.spdy(path) if is_spdy else world.websocket(path), streams=streams)
    assert client.status == 101, client.head
    return client


def finished(client: Client) -> Client:
    """Read to the end, and leave as a program does that has read it."""
    client.until(lambda: client.close_code is not None or "error" in client.ended)
    client.hang_up()
    return client


def recorded(world: PodWorld) -> list[http.HTTPFlow]:
    found: list[http.HTTPFlow] = []
    for file in sorted((world.var / "recordings" / "sessions").rglob("*.flows")):
        with file.open("rb") as stream:
            found += [f for f in FlowReader(stream).stream() if isinstance(f, http.HTTPFlow) and f.websocket]
    return found


def whole(world: PodWorld) -> http.HTTPFlow:
    (flow,) = (f for f in recorded(world) if "piece" not in f.metadata["holdpoint"])
    return flow


def messages(flow: http.HTTPFlow) -> list[tuple[bool, bytes]]:
    assert flow.websocket is not None
    return [(m.from_client, m.content) for m in flow.websocket.messages]


def output(flow: http.HTTPFlow) -> bytes:
    return b"".join(data[1:] for from_client, data in messages(flow) if not from_client and data[:1] == b"\x01")


def verified(world: PodWorld) -> Report:
    keys = load_settings(world.settings_file, {}, check_machine=False).keys
    return verify(world.var / "recordings", load_ring(keys))


def stop(world: PodWorld) -> None:
    assert world.gateway is not None
    world.gateway.stop()
    world.gateway = None


def cli(world: PodWorld, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "holdpoint.cli", "--config", str(world.settings_file), *arguments]
    env = {**os.environ, "NOTES_TOKEN": "x", "PYTHONPATH": str(ROOT / "addons")}
    return subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=world.folder, env=env)


def session(world: PodWorld) -> str:
    return str(next(e["session"] for e in reversed(world.audited()) if "tunnel" in e.get("detail", {})))


def shown_pieces(world: PodWorld, count: int) -> list[dict[str, Any]]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = [e for e in world.audited() if e["stage"] == "Shown"]
        if len(found) >= count:
            return found
        select.select([], [], [], 0.1)
    raise AssertionError("no piece was written")


@pytest.mark.e2e
@both
def test_a_command_is_recorded_by_channel_as_its_user_saw_it(world: PodWorld, is_spdy: bool) -> None:
    world.start()
    client = finished(began(world, "sh", "-c", SHELL, is_spdy=is_spdy))
    assert client.text("stdout") == "id [masked]\n"
    ended = world.ended()
    stop(world)
    flow = whole(world)
    assert output(flow) == b"id [masked]\n"
    assert (False, b"\x02no\n") in messages(flow)
    assert any(data[:1] == b"\x03" and b"NonZeroExitCode" in data for _, data in messages(flow))
    assert flow.websocket is not None
    assert flow.websocket.close_code == 1000
    tunnel = flow.metadata["holdpoint"]["tunnel"]
    assert tunnel["exit_code"] == 3
    assert tunnel["shown"]["streams"]["server:stdout"]["bytes"] == len("id [masked]\n")
    assert ended["detail"]["tunnel"]["shown"] == tunnel["shown"]
    assert AWS.encode() not in b"".join(f.read_bytes() for f in (world.var / "recordings").rglob("*") if f.is_file())
    assert verified(world).ok


@pytest.mark.e2e
@both
def test_plain_mitmdump_and_the_viewer_open_a_recorded_command(world: PodWorld, is_spdy: bool) -> None:
    world.start()
    finished(began(world, "sh", "-c", SHELL, is_spdy=is_spdy))
    world.ended()
    stop(world)
    (file,) = (world.var / "recordings" / "sessions").rglob("*.flows")
    for more in ([], ["-s", str(ROOT / "addons" / "viewer.py")]):
        command = [str(MITMDUMP), "--set", f"confdir={world.folder / 'conf'}", *more, "-nr", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=world.folder)
        assert done.returncode == 0, done.stderr
        assert "pods/web/exec" in done.stdout


@pytest.mark.e2e
@pytest.mark.threat("T52")
@both
def test_what_is_typed_is_counted_and_not_recorded(world: PodWorld, is_spdy: bool) -> None:
    world.start()
    client = began(world, "sh", "-c", "read line; echo done", is_spdy=is_spdy, stdin=True)
    client.say("stdin", b"correct horse battery\n", final=True)
    finished(client)
    assert client.text("stdout") == "done\n"
    ended = world.ended()
    assert ended["detail"]["tunnel"]["shown"]["streams"]["client:stdin"] == {"bytes": 22}
    stop(world)
    kept = b"".join(f.read_bytes() for f in world.var.rglob("*") if f.is_file())
    assert b"correct horse" not in kept
    opened = cli(world, "sessions", "stdin", session(world))
    assert opened.returncode == 1
    assert b"record: {stdin: sealed}" in opened.stderr


@pytest.mark.e2e
@pytest.mark.threat("T52")
@both
def test_what_is_typed_is_sealed_where_the_target_says_so(world: PodWorld, is_spdy: bool) -> None:
    text = world.settings_file.read_text()
    before, _, after = text.partition("routes: [/k8s/pods]\n")
    world.settings_file.write_text(f"{before}routes: [/k8s/pods]\n    record: {{stdin: sealed}}\n{after}")
    world.start()
    client = began(world, "cat", is_spdy=is_spdy, stdin=True)
    client.say("stdin", b"correct horse ")
    client.say("stdin", b"battery\n", final=True)
    finished(client)
    world.ended()
    stop(world)
    flow = whole(world)
    assert all(b"horse" not in data for from_client, data in messages(flow) if from_client)
    opened = cli(world, "sessions", "stdin", session(world))
    assert opened.stdout == b"correct horse battery\n", opened.stderr
    (world.policies / "var" / "keys" / "digest.key").rename(world.folder / "elsewhere")
    closed = cli(world, "sessions", "stdin", session(world))
    assert closed.returncode == 1
    assert b"horse" not in closed.stdout


@pytest.mark.e2e
@pytest.mark.threat("T50")
@pytest.mark.failure("F-kill")
@both
def test_a_killed_gateway_leaves_what_was_shown_up_to_then(world: PodWorld, is_spdy: bool) -> None:
    gateway = world.start()
    client = began(world, "sh", "-c", "echo one; read wait; echo two; read wait", is_spdy=is_spdy, stdin=True)
    client.until(lambda: "one" in client.text("stdout"))
    shown_pieces(world, 1)
    client.say("stdin", b"\n")
    client.until(lambda: "two" in client.text("stdout"))
    shown_pieces(world, 2)
    gateway.process.send_signal(signal.SIGKILL)
    gateway.wait()
    client.rest().hang_up()
    world.start()
    stop(world)
    assert b"".join(output(flow) for flow in recorded(world) if "piece" in flow.metadata["holdpoint"]) == b"one\ntwo\n"
    assert [e["stage"] for e in world.audited() if e["stage"] == "OutcomeUnknown"] == ["OutcomeUnknown"]
    assert verified(world).ok
    named = next(e["session"] for e in world.audited() if e["stage"] == "Shown")
    done = cli(world, "sessions", "asciicast", named)
    assert done.returncode == 0, done.stderr
    assert b"not all of it" in done.stderr


@pytest.mark.e2e
@pytest.mark.threat("T51")
def test_a_piece_that_is_removed_or_altered_is_found(world: PodWorld) -> None:
    world.start()
    command = "echo one; read wait; echo two"
    client = began(world, "sh", "-c", command, is_spdy=False, stdin=True)
    client.until(lambda: "one" in client.text("stdout"))
    (first,) = shown_pieces(world, 1)
    client.say("stdin", b"\n")
    finished(client)
    world.ended()
    stop(world)
    recordings = world.var / "recordings"
    assert verified(world).ok
    record = first["detail"]["record"]
    file = recordings / record["file"]
    intact = file.read_bytes()
    file.write_bytes(intact.replace(b"\x01one\n", b"\x01two\n"))
    assert {f.problem.value for f in verified(world).findings} == {"edited-flow"}
    file.write_bytes(intact[record["offset"] + record["length"] :])
    assert not verified(world).ok
    file.unlink()
    assert {f.problem.value for f in verified(world).findings} == {"missing-flows"}
    shutil.copy(next(recordings.rglob("*.flows")), file)
    assert not verified(world).ok


@pytest.mark.e2e
@both
def test_each_command_of_a_session_becomes_an_asciicast(world: PodWorld, is_spdy: bool) -> None:
    world.start()
    for text in ("first", "second"):
        client = began(world, "sh", "-c", f"echo {text}; read wait", is_spdy=is_spdy, stdin=True, tty=True)
        client.say("resize", b'{"Width":100,"Height":30}')
        client.until(lambda text=text, client=client: text in client.text("stdout"))
        client.say("resize", b'{"Width":90,"Height":20}')
        client.say("stdin", b"\n")
        finished(client)
        world.ended()
    stop(world)
    out = world.folder / "casts"
    out.mkdir()
    done = cli(world, "sessions", "asciicast", session(world), "--folder", str(out))
    assert done.returncode == 0, done.stderr
    casts = [[json.loads(line) for line in file.read_text().splitlines()] for file in sorted(out.glob("*.cast"))]
    assert len(casts) == 2
    for header, *events in casts:
        assert (header["version"], header["width"], header["height"]) == (2, 100, 30)
        assert header["command"].startswith("sh -c 'echo ")
        assert [e[1] for e in events] == ["o", "r"]
        assert [e[0] for e in events] == sorted(e[0] for e in events)
        assert events[1][2] == "90x20"
    again = cli(world, "sessions", "asciicast", session(world), "--folder", str(out))
    assert again.returncode == 1
    shutil.rmtree(out)


@pytest.mark.e2e
def test_a_copy_is_counted_and_its_bytes_are_not_kept(world: PodWorld) -> None:
    (world.folder / "pod" / "secret.txt").write_text(f"{AWS}\n")
    world.start()
    client = finished(began(world, "tar", "cf", "-", "secret.txt", is_spdy=False))
    assert AWS in client.text("stdout")
    ended = world.ended()
    assert ended["action"] == "cp"
    assert ended["detail"]["tunnel"]["shown"]["streams"]["server:stdout"]["bytes"] == len(client.heard["stdout"])
    stop(world)
    assert AWS.encode() not in b"".join(f.read_bytes() for f in (world.var / "recordings").rglob("*") if f.is_file())
