"""A process that is killed at any moment loses nothing that it was told is stored."""

import asyncio
import os
import random
import signal
import subprocess
import sys

import pytest

from holdpoint.clock import ManualClock
from holdpoint.domain.approval import ApprovalState
from holdpoint.store.sqlite import SqliteStore

# Approves and spends without end; prints an id only after the store returned.
CHILD = """
import asyncio, pathlib, sys
from holdpoint.domain.approval import Verdict
from tests.fakes.approvals import House, ask, reviewer

async def one(home, name):
    held = await home.broker.request(ask(what=name))
    print("held", held.id, flush=True)
    done = await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    print("approved", held.id, done.grant, flush=True)
    await home.broker.spend(done.grant, wire="w", exchange="x-" + name)
    print("spent", held.id, done.grant, flush=True)

async def main():
    home = House(pathlib.Path(sys.argv[1]))
    await home.open()
    number = 0
    while True:
        await asyncio.gather(*(one(home, f"{sys.argv[2]}-{number + i}") for i in range(8)))
        number += 8

asyncio.run(main())
"""


@pytest.mark.failure("F-kill")
async def test_killed_gateway_loses_nothing_and_sends_nothing_twice(tmp_path):
    path = tmp_path / "s.db"
    pick = random.Random(7)  # noqa: S311  # chooses moments, keeps no secrets
    lines: list[list[str]] = []
    for round_number in range(4):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CHILD,
            str(path),
            str(round_number),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": "addons:."},
        )
        lines += [(await child.stdout.readline()).decode().split() for _ in range(pick.randint(20, 120))]
        child.send_signal(signal.SIGKILL)
        # Lines already printed count too: what they say was durable.
        lines += [
            line.split() for line in (await child.stdout.read()).decode().splitlines(keepends=True) if "\n" in line
        ]
        await child.wait()

    store = SqliteStore(path, ManualClock())
    await store.open()
    for line in lines:
        assert await store.approval(line[1]) is not None
    for _, approval, grant in (line for line in lines if len(line) == 3):
        assert (await store.approval(approval)).state is ApprovalState.APPROVED
        assert (await store.grant(grant)) is not None
    spent = {line[2] for line in lines if line[0] == "spent"}
    assert spent
    assert {(await store.grant(grant)).state.value for grant in spent} <= {"spent", "unknown"}
    await store.close()
