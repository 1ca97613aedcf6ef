"""A load generator: HTTP/1.1 connections that are kept alive, each with one request under way at any time.

    python -m tests.benchmarks.load <JOBS.jsonl >RESULTS.jsonl

The clock starts when every connection has had an answer, and at the end whoever waits still gets one: nothing of one
measurement reaches into the next.
"""

import asyncio
import sys
import time

import msgspec

_ENOUGH = 20
"""Failures after which a measurement is given up."""


class Job(msgspec.Struct, frozen=True):
    """What to send, where, how hard and for how long."""

    port: int
    request: bytes
    connections: int
    seconds: float
    warm_up: float
    """Seconds between the first answers and those that count."""
    never: bytes = b""
    """Must not occur in an answer."""


class Result(msgspec.Struct):
    """What came of it."""

    seconds: float
    latencies: list[float]
    """Seconds of each request, sorted."""
    failures: int
    """Answers that are not 200, or hold what they must not, and lost connections."""
    example: bytes = b""
    """A failed answer."""
    warmed: int = 0
    """Requests before and after those that count."""


class _Client(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._size = 0
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if self._transport is not None:
            self._sent = time.perf_counter()
            self._transport.write(self._run.job.request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        if not self._size:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = buffer[:end].lower()
            at = head.find(b"content-length:")
            if at < 0:
                self._run.fail(buffer)
                self._close()
                return
            stop = head.find(b"\r\n", at)
            self._size = end + 4 + int(head[at + 15 : stop if stop > 0 else None])
        if len(buffer) < self._size:
            return
        self._buffer, self._size = b"", 0
        if self._run.take(buffer, self._sent, time.perf_counter()):
            self._send()
        else:
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._run.fail(f"connection lost: {exc}".encode())
            self.done.set_result(None)

    def _close(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()


class _Run:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.warmed = self.failures = 0
        self.example = b""
        self._latencies: list[float] = []
        self._begin = self._end = float("inf")

    def take(self, answer: bytes, sent: float, came: float) -> bool:
        """Take an answer. Returns whether another request shall be sent."""
        if not answer.startswith(b"HTTP/1.1 200 ") or (self.job.never and self.job.never in answer):
            self.fail(answer)
        elif self._begin <= came <= self._end:
            self._latencies.append(came - sent)
        else:
            self.warmed += 1
            if self.warmed == self.job.connections:
                self._begin = came + self.job.warm_up
                self._end = self._begin + self.job.seconds
        return came < self._end and self.failures < _ENOUGH

    def fail(self, answer: bytes) -> None:
        self.failures += 1
        self.example = self.example or answer[:2_000]

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        clients: list[_Client] = []
        for _ in range(self.job.connections):
            _, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", self.job.port)
            clients.append(client)
        await asyncio.gather(*(c.done for c in clients))
        return Result(self.job.seconds, sorted(self._latencies), self.failures, self.example, self.warmed)


def main() -> None:
    """Read jobs, write results, a line each."""
    for line in sys.stdin.buffer:
        result = asyncio.run(_Run(msgspec.json.decode(line, type=Job)).run())
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
