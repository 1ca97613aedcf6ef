"""Parts of the pipeline alone: what the disk, the masks, the policy and the token cache cost. Figures, no verdicts."""

import asyncio
import os
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from platform import platform, python_version

import msgspec
from tests.fakes.issuer import FakeIssuer
from tests.fakes.processes import ROOT

from holdpoint import __version__
from holdpoint.clock import SystemClock
from holdpoint.domain.access import Protocol
from holdpoint.identity.verify import Verifier
from holdpoint.masking.masker import compile_masks
from holdpoint.policy import benchmark as policy_benchmark
from holdpoint.policy.bundle import load_bundle
from holdpoint.settings import Issuer

MASKED_BYTES = 100_000


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the sorted values lie."""
    return values[min(len(values) - 1, int(len(values) * share))]


def _timed(work: Callable[[], object], rounds: int) -> float:
    """Return the median seconds of one call."""
    seconds: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def disk(folder: Path, rounds: int = 200) -> dict[str, float]:
    """Measure appending a line of 1 KB and making it durable, as the audit log does. Milliseconds."""
    line = b"x" * 1_023 + b"\n"
    seconds: list[float] = []
    fd = os.open(folder / "probe", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for i in range(rounds):
            start = time.perf_counter()
            os.pwrite(fd, line, i * len(line))
            os.fdatasync(fd)
            seconds.append(time.perf_counter() - start)
    finally:
        os.close(fd)
    seconds.sort()
    return {"median_ms": statistics.median(seconds) * 1e3, "p99_ms": percentile(seconds, 0.99) * 1e3}


def masking(folder: Path, rounds: int = 30) -> dict[str, float]:
    """Measure the shipped credentials profile over 100 KB of JSON without and with one secret in 2 KB. ns a byte."""
    shipped = ROOT / "policies" / "masks" / "credentials.yaml"
    profiles = load_bundle([policy_benchmark.write_bundle(folder), shipped], targets={"benchmark": Protocol.MCP}).masks
    masker = compile_masks(list(profiles.values()), key=b"k" * 32)
    found: dict[str, float] = {}
    for name, every in (("clean", 0), ("with_secrets", 12)):
        items: list[dict[str, object]] = []
        body = b"[]"
        while len(body) < MASKED_BYTES:
            for _ in range(50):
                i = len(items)
                item: dict[str, object] = {"name": f"web-{i}", "image": f"registry.example.com/shop/web:1.{i}.0"}
                item["labels"] = {"app.example.com/name": f"web-{i}", "app.example.com/part-of": "shop"}
                item |= {"password": "correct-horse"} if every and i % every == 0 else {"replicas": i}
                items.append(item)
            body = msgspec.json.encode(items)
        seconds = _timed(lambda b=body: masker.document(b, "application/json"), rounds)
        found[f"{name}_ns_per_byte"] = seconds / len(body) * 1e9
    return found


def policy(folder: Path) -> dict[str, float]:
    """Measure a decision by 30 rules of which 10 reach CEL. Microseconds."""
    seconds = sorted(policy_benchmark.measure(policy_benchmark.load(folder), time.perf_counter))
    return {"median_us": statistics.median(seconds) * 1e6, "p99_us": percentile(seconds, 0.99) * 1e6}


def verifying(rounds: int = 2_000) -> dict[str, float]:
    """Measure the verification of a token, and the look into the cache that spares it. Microseconds."""
    with FakeIssuer() as issuer:
        return asyncio.run(_verifying(issuer, rounds))


async def _verifying(issuer: FakeIssuer, rounds: int) -> dict[str, float]:
    known = Issuer(name="test", url=issuer.url, algorithms=frozenset({"RS256"}), audiences=frozenset({issuer.audience}))
    verifier = Verifier([known], SystemClock())
    await verifier.start()
    anyone: frozenset[str] = frozenset()
    token = issuer.mint()
    await verifier.verify(token, audiences=anyone, issuers=anyone)
    cached = _timed(lambda: verifier.cached(token, audiences=anyone, issuers=anyone), rounds)
    fresh: list[float] = []
    for made in [issuer.mint() for _ in range(20)]:
        start = time.perf_counter()
        await verifier.verify(made, audiences=anyone, issuers=anyone)
        fresh.append(time.perf_counter() - start)
    await verifier.close()
    return {"cached_us": cached * 1e6, "fresh_us": statistics.median(fresh) * 1e6}


def versions() -> dict[str, str]:
    """Return what was measured."""
    names = ("mitmproxy", "msgspec", "google-re2", "cel-expr-python", "cryptography")
    return {
        "holdpoint": __version__,
        "python": python_version(),
        **{n: version(n) for n in names},
        "system": platform(),
        "cores": str(os.cpu_count()),
    }
