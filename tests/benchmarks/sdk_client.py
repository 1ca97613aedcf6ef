"""Calls one after another by the MCP SDK's own client, timed.

python -m tests.benchmarks.sdk_client <JOBS.jsonl >RESULTS.jsonl
"""

import asyncio
import sys
import time

import httpx2
import msgspec
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tests.benchmarks.sdk_server import TOOL

MODERN, LEGACY = "2026-07-28", "2025-11-25"
_ARGUMENTS = {"replicas": 5, "deployment": "web", "namespace": "shop"}


class Calls(msgspec.Struct, frozen=True):
    """What to call, where and how often."""

    url: str
    token: str
    version: str
    progress: bool
    """Ask to be told of progress: the modern server answers with events only then."""
    warm_up: int
    """Calls before those that count."""
    calls: int
    never: str
    """Must not occur in an answer."""
    must: str
    """Must occur in an answer."""


class Timed(msgspec.Struct, frozen=True):
    """What came of it."""

    latencies: list[float]
    """Seconds of each call, in order."""
    version: str
    """The version that was spoken."""
    failures: int
    example: str = ""


async def _told(progress: float, total: float | None, message: str | None) -> None:
    del progress, total, message


async def call(job: Calls) -> Timed:
    """Connect, warm up, call."""
    latencies: list[float] = []
    failures, example = 0, ""
    told = _told if job.progress else None
    mode = "auto" if job.version == MODERN else "legacy"
    headers = {"authorization": f"Bearer {job.token}"} if job.token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(job.url, http_client=http), mode=mode) as client,
    ):
        version = str(client.protocol_version)
        for i in range(job.warm_up + job.calls):
            start = time.perf_counter()
            result = await client.call_tool(TOOL, _ARGUMENTS, progress_callback=told)
            seconds = time.perf_counter() - start
            if i >= job.warm_up:
                latencies.append(seconds)
            text = result.model_dump_json()
            if result.is_error or job.must not in text or (job.never and job.never in text):
                failures, example = failures + 1, example or text[:2_000]
    return Timed(latencies, version, failures, example)


def main() -> None:
    """Read jobs, write results, a line each."""
    for line in sys.stdin.buffer:
        try:
            done = asyncio.run(call(msgspec.json.decode(line, type=Calls)))
        except Exception as error:  # noqa: BLE001  # whoever asked tells people of it
            done = Timed([], "", 1, "".join(_leaves(error)))
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        sys.stdout.buffer.flush()


def _leaves(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [f"{type(error).__name__}: {error}\n"]


if __name__ == "__main__":
    main()
