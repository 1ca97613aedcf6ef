"""Killed under load at any moment: not one request that reached the upstream is missing from the audit."""

import json
import os
import random
import signal
import threading
from pathlib import Path

import httpx
import pytest
from tests.fakes.processes import NO_AUTHORITIES
from tests.fakes.world import World, call

from holdpoint.keys import load_ring
from holdpoint.recording.verify import verify
from holdpoint.settings_file import load_settings

KILLS = int(os.environ.get("HOLDPOINT_KILLS", "10"))
CALLERS = 4


class Load:
    """Callers that ask as fast as they are answered, each call with a name of its own, until told to stop."""

    def __init__(self, world: World, turn: int) -> None:
        self.answered: set[str] = set()
        self._world = world
        self._turn = turn
        self._stop = threading.Event()
        self._some = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(CALLERS)]

    def _ask(self, caller: int) -> None:
        headers = self._world.headers(self._world.token(groups=["developers"]))
        with httpx.Client(verify=NO_AUTHORITIES, trust_env=False, timeout=5) as client:
            count = 0
            while not self._stop.is_set():
                count += 1
                name = f"kill-{self._turn}-{caller}-{count}"
                try:
                    answer = client.post(self._world.url, headers=headers, json=call("read_note", {"name": name}))
                except httpx.HTTPError:
                    return  # the gateway is gone
                if "no such note" in answer.text:
                    self.answered.add(name)
                    self._some.release()

    def run_until(self, answers: int) -> None:
        for thread in self._threads:
            thread.start()
        for _ in range(answers):
            assert self._some.acquire(timeout=30), "the gateway answers nothing"

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def audited(folder: Path) -> set[str]:
    """Names of the notes in every Forwarded event on disk."""
    names: set[str] = set()
    for file in sorted((folder / "audit").glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            event = json.loads(line).get("event", {})
            if event.get("stage") == "Forwarded" and "body" in event["detail"].get("request", {}):
                body = json.loads(event["detail"]["request"]["body"])
                names.add(body.get("params", {}).get("arguments", {}).get("name", ""))
    return names


@pytest.mark.e2e
@pytest.mark.failure("F-kill")
def test_kills_under_load_lose_no_forwarded_request(tmp_path: Path) -> None:
    choose = random.Random(20_261_121)  # noqa: S311
    with World(tmp_path, json_response=True, stateless=True) as world:
        answered: set[str] = set()
        for turn in range(KILLS):
            gateway = world.start()
            load = Load(world, turn)
            load.run_until(choose.randint(1, 40))
            gateway.process.send_signal(signal.SIGKILL)
            gateway.wait()
            load.stop()
            answered |= load.answered
        world.start()
        assert world.gateway is not None
        world.gateway.stop()
        reached = {c.removeprefix("read_note ") for c in world.notes.seen.calls}
        known = audited(world.var / "recordings")
        assert len(answered) >= KILLS
        assert answered <= reached
        assert reached <= known, f"{len(reached - known)} requests reached the upstream unrecorded"
        print(f"{KILLS} kills, {len(reached)} requests forwarded, {len(reached - known)} of them unrecorded")
        report = verify(
            world.var / "recordings", load_ring(load_settings(world.settings_file, {}, check_machine=False).keys)
        )
        assert report.ok, report.findings
        world.gateway = None
