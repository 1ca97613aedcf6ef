"""A thousand callers held at once, each on a stream of its own: no thread for any of them, and no harm to others."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.fakes.ladder_world import LadderWorld
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T20")]

CALLERS, EACH = 10, 100


type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def on_the_line(world: LadderWorld, token: str, number: int) -> Streams:
    """Make a call that is held, and return once the gateway shows that it waits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.reverse)
    body = json.dumps(call("write_note", {"name": f"n-{number}"}, request_id=number)).encode()
    fields = {"host": f"127.0.0.1:{world.reverse}", "content-length": str(len(body)), **world.headers(token)}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"POST /mcp/demo HTTP/1.1\r\n{head}\r\n".encode() + body)
    await writer.drain()
    while (line := await reader.readline()) != b": waiting for a reviewer\n":
        assert line, "the stream ended before it began"
    return reader, writer


def threads(process_id: int) -> int:
    return len(list(Path(f"/proc/{process_id}/task").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="platform: threads are counted in /proc")
async def test_a_thousand_held_callers_cost_no_threads_and_hold_up_nobody(tmp_path: Path) -> None:
    with LadderWorld(tmp_path, hold="wait: 5m, grace: 0s, keepalive: 1s") as world:
        world.start()
        assert world.gateway is not None
        alone = threads(world.gateway.process.pid)
        callers: list[Streams] = []
        for caller in range(CALLERS):
            token = world.token(f"u-{caller}", email=f"u{caller}@corp.example")
            some = (on_the_line(world, token, caller * EACH + n) for n in range(EACH))
            callers += await asyncio.gather(*some)
        assert (
            threads(world.gateway.process.pid) <= alone + 4
        )  # of the executor and of the writers, once they were used
        plain = await asyncio.to_thread(world.ask_legacy, "read_note", {"name": "x"})
        assert plain.json()["result"]["content"][0]["text"] == "well"
        # Every one of them is told again and again, and the one that is approved gets its answer.
        held = await asyncio.to_thread(world.pending, '"n-999"')
        await asyncio.to_thread(world.decide, held)
        for reader, _ in callers[:-1]:
            while await reader.readline() != b": waiting for a reviewer\n":
                assert not reader.at_eof()
        while b'"well"' not in (line := await callers[-1][0].readline()):
            assert line
        assert world.upstream.calls("write_note") == 1
        for _, writer in callers:
            writer.close()
