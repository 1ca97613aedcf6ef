"""What holding costs: from a decision to what is sent, memory for each held request, and the rate of all the others.

A real gateway, decided through its admin socket, in front of an upstream that notes when something arrives: on SQLite,
on PostgreSQL, and on PostgreSQL decided through another gateway.
"""

import asyncio
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.figures import Budget
from tests.benchmarks.subjects import cpu_of, memory_of
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.gateway_pair import Gateway
from tests.fakes.postgres import serving
from tests.fakes.raw_upstream import Arrived, whole

APPROVALS = "approvals"
HELD = 1_000
_EACH = 50
"""Held requests of one person; more than a hundred nobody may have."""


_DISPATCH_MS, _SHARED_MS, _KB_EACH, _KEPT = 50, 20, 50, 0.9


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured. Seconds, bytes, requests per second."""

    dispatch_median: float
    dispatch_p99: float
    shared_median: float
    """On PostgreSQL."""
    crossed_median: float
    """On PostgreSQL, decided at another gateway than the one that holds and sends."""
    held: int
    bytes_each: float
    rate_before: float
    rate_held: float
    cpu_before: float
    cpu_held: float
    """Processor seconds of the gateway for each of the other requests."""

    @property
    def kept(self) -> float:
        """Share of their rate that other requests keep, by processor time: who else uses the machine does not count."""
        return self.cpu_before / self.cpu_held


def measure(folder: Path, *, quick: bool) -> Found:
    """Measure everything."""
    rounds, seconds = (15, 1.0) if quick else (100, 4.0)
    with attacked(folder) as world:
        times = sorted(_dispatches(world, rounds))
        rates = asyncio.run(_others(world, seconds))
    shared, crossed = _shared(folder / "shared", rounds)
    return Found(statistics.median(times), times[int(len(times) * 0.99) - 1], shared, crossed, *rates)


def _shared(folder: Path, rounds: int) -> tuple[float, float]:
    folder.mkdir()
    with (
        serving() as server,
        attacked(folder, store="{postgres: {url: {env: STORE_URL}}}", STORE_URL=server.url) as world,
    ):
        alone = statistics.median(_dispatches(world, rounds))
        other = Gateway(world, "other", world.env, digest_key="var/keys/digest.key")
        other.start()
        try:
            return alone, statistics.median(_dispatches(world, rounds, other))
        finally:
            other.stop()


def _dispatches(world: Attacked, rounds: int, decider: Gateway | None = None) -> list[float]:
    """Return the seconds from each decision, as it is sent to the gateway, to the request's arrival at the upstream."""
    arrived: list[float] = []

    def answer(connection: socket.socket, _request: Arrived) -> None:
        arrived.append(time.perf_counter())
        connection.sendall(whole(b"{}"))

    world.shop.behave = answer
    times: list[float] = []
    for number in range(rounds):
        with world.held(lambda n=number: world.send("POST", f"/bare/d{n}", {"n": n, "by": bool(decider)})) as (
            held,
            answered,
        ):
            decided = time.perf_counter()
            world.decide(held, admin=decider.admin if decider else None)
            assert answered.result().status_code == 200
        times.append(arrived[-1] - decided)
    return times


async def _others(world: Attacked, seconds: float) -> tuple[int, float, float, float, float, float]:
    world.shop.behave = lambda connection, _request: connection.sendall(whole(b"{}"))
    assert world.gateway is not None
    await _rate(world, seconds / 2)
    before, cpu_before = await _rate(world, seconds)
    size = memory_of(world.gateway)
    async with _held(world, HELD):
        grown = memory_of(world.gateway) - size
        held, cpu_held = await _rate(world, seconds)
    return HELD, grown / HELD, before, held, cpu_before, cpu_held


async def _rate(world: Attacked, seconds: float) -> tuple[float, float]:
    """Return how many requests that nobody holds four callers get answered in a second, and what each takes."""
    assert world.gateway is not None
    used = cpu_of(world.gateway)
    done, until = 0, time.perf_counter() + seconds
    request = _request(world, "GET", "/bare/free", world.token())

    async def call() -> None:
        nonlocal done
        while time.perf_counter() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", _port(world))
            writer.write(request)
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"\r\n\r\n{}")
            writer.close()
            done += 1

    await asyncio.gather(*(call() for _ in range(4)))
    return done / seconds, (cpu_of(world.gateway) - used) / done


@asynccontextmanager
async def _held(world: Attacked, count: int) -> AsyncIterator[None]:
    """Hold that many requests, each with a caller on the line."""
    lines: list[asyncio.StreamWriter] = []
    tokens = [world.token(f"u-{n}", email=f"p{n}@corp.example") for n in range(count // _EACH)]
    for number in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", _port(world))
        writer.write(_request(world, "POST", f"/bare/h{number}", tokens[number // _EACH], b'{"n": 1}'))
        lines.append(writer)
    status: dict[str, object] = {"held": 0}
    while status["held"] != count:
        status = await world.admin().call("status", {})
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        for writer in lines:
            writer.close()


def _port(world: Attacked) -> int:
    return int(world.base.rpartition(":")[2])


def _request(world: Attacked, method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{_port(world)}\r\nAuthorization: Bearer {token}\r\n"
    about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{head}{about}\r\n".encode() + body


def lines(found: Found) -> list[str]:
    """Say what was found."""
    median, p99 = found.dispatch_median * 1e3, found.dispatch_p99 * 1e3
    shared, crossed = found.shared_median * 1e3, found.crossed_median * 1e3
    others = f"the others keep {found.kept:.2f} of their rate ({found.rate_before:.0f}/s before)"
    return [
        f"approvals: from decision to dispatch {median:.1f} ms (median), {p99:.1f} ms (p99)",
        f"approvals: on PostgreSQL {shared:.1f} ms, through another gateway {crossed:.1f} ms",
        f"approvals: {found.held} held, {found.bytes_each / 1024:.1f} KB each; {others}",
    ]


def budgets(found: Found) -> list[Budget]:
    """Return what the design promises, beside what was found."""
    median, each = found.dispatch_median * 1e3, found.bytes_each / 1024
    shared = found.shared_median * 1e3
    return [
        Budget("decision to dispatch: median", "< 50 ms", f"{median:.1f} ms", median < _DISPATCH_MS),
        Budget("on PostgreSQL: median", f"< {_SHARED_MS} ms", f"{shared:.1f} ms", shared < _SHARED_MS),
        Budget("held request: memory", "< 50 KB", f"{each:.1f} KB", each < _KB_EACH),
        Budget("others beside 1,000 held: rate", ">= 0.90", f"{found.kept:.2f}", found.kept >= _KEPT),
    ]


def as_json(found: Found) -> dict[str, float]:
    """Return the figures."""
    return asdict(found) | {"kept": found.kept}
