"""From latencies to figures, and from figures to a table with a line for each budget."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tests.benchmarks.load import Result
from tests.benchmarks.parts import percentile

_ENOUGH = 100_000
"""Requests after which memory must be flat."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One subject under one load."""

    rps: float
    median_ms: float
    p99_ms: float
    cpu_ms: float
    """Processor time of the subject for each request: what a busy machine changes least."""


@dataclass(frozen=True, slots=True)
class Point:
    """Both subjects under one load, over several rounds: medians of the rounds, and of each round's ratio."""

    bare: Figures
    pipeline: Figures
    ratio: float
    """Requests a second of the pipeline to those of the bare proxy."""
    cpu_ratio: float
    """Processor time of a request through the pipeline to one through the bare proxy."""
    added_median_ms: float
    added_p99_ms: float
    ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What the design promises, and what was found."""

    name: str
    wanted: str
    found: str
    met: bool


def figures(result: Result, cpu: float) -> Figures:
    """Sum up one measurement; `cpu` is in seconds for each request."""
    return Figures(
        len(result.latencies) / result.seconds,
        statistics.median(result.latencies) * 1e3,
        percentile(result.latencies, 0.99) * 1e3,
        cpu * 1e3,
    )


def _middle(several: list[Figures]) -> Figures:
    return Figures(
        statistics.median(f.rps for f in several),
        statistics.median(f.median_ms for f in several),
        statistics.median(f.p99_ms for f in several),
        statistics.median(f.cpu_ms for f in several),
    )


def point(rounds: list[tuple[Figures, Figures]]) -> Point:
    """Sum up the rounds (bare, pipeline) of one load."""
    ratios = tuple(pipeline.rps / bare.rps for bare, pipeline in rounds)
    return Point(
        bare=_middle([b for b, _ in rounds]),
        pipeline=_middle([p for _, p in rounds]),
        ratio=statistics.median(ratios),
        cpu_ratio=statistics.median(p.cpu_ms / b.cpu_ms if b.cpu_ms else 0.0 for b, p in rounds),
        added_median_ms=statistics.median(p.median_ms - b.median_ms for b, p in rounds),
        added_p99_ms=statistics.median(p.p99_ms - b.p99_ms for b, p in rounds),
        ratios=ratios,
    )


def growth(samples: list[tuple[int, int]]) -> float:
    """Return bytes of memory gained for each request over the second half of (requests, bytes) samples."""
    later = samples[len(samples) // 2 :]
    (first, before), (last, after) = later[0], later[-1]
    return (after - before) / (last - first) if last > first else 0.0


def budgets(
    points: dict[str, dict[int, Point]], parts: dict[str, dict[str, float]], memory: list[tuple[int, int]]
) -> list[Budget]:
    """Compare with the budgets of the design. Before so many requests memory is still warming up, and is not judged."""
    found = [
        Budget(f"{profile}: pipeline to bare, {connections} connections", ">= 1.00", f"{p.ratio:.2f}", p.ratio >= 1)
        for profile, by_connections in points.items()
        for connections, p in by_connections.items()
    ]
    for profile, by_connections in points.items():
        if one := by_connections.get(1):
            median, p99 = one.added_median_ms, one.added_p99_ms
            found.append(
                Budget(f"{profile}: added median, 1 connection", "<= 0.3 ms", f"{median:.2f} ms", median <= 0.3)
            )
            found.append(Budget(f"{profile}: added p99, 1 connection", "<= 1 ms", f"{p99:.2f} ms", p99 <= 1))
    for name in ("clean", "with_secrets"):
        each = parts["masking"][f"{name}_ns_per_byte"]
        found.append(
            Budget(f"masking 100 KB, {name.replace('_', ' ')}", "<= 15 ns a byte", f"{each:.1f} ns", each <= 15)
        )
    if memory and memory[-1][0] >= _ENOUGH:
        leak = growth(memory)
        found.append(Budget("memory for each request, second half", "<= 64 bytes", f"{leak:.0f} bytes", leak <= 64))
    return found


def as_json(points: dict[int, Point], main: int) -> dict[str, object]:
    """Return one profile: the figures at `main` connections, and those of every number of connections."""
    chosen = points[main]
    return {
        "at_connections": main,
        "bare": asdict(chosen.bare),
        "pipeline": asdict(chosen.pipeline),
        "ratio": chosen.ratio,
        "cpu_ratio": chosen.cpu_ratio,
        "added_median_ms": chosen.added_median_ms,
        "added_p99_ms": chosen.added_p99_ms,
        "connections": {str(n): asdict(p) for n, p in points.items()},
    }


def _row(profile: str, connections: int, point: Point) -> str:
    pairs = ((f.median_ms, f.p99_ms, f.cpu_ms) for f in (point.bare, point.pipeline))
    times = "".join(f"{b:>9.2f}{p:>9.2f} " for b, p in zip(*pairs, strict=True))
    speed = f"{point.bare.rps:>8.0f}{point.pipeline.rps:>9.0f}{point.ratio:>7.2f} "
    return f"{profile:9}{connections:>6}  {speed}{times}{point.cpu_ratio:>6.2f}"


def report(
    points: dict[str, dict[int, Point]],
    parts: dict[str, dict[str, float]],
    memory: list[tuple[int, int]],
    found: list[Budget],
    more: Sequence[str] = (),
) -> str:
    """Return the figures for people; `more` stands before the budgets."""
    lines = (
        []
        if not points
        else [
            f"{'':17}{'requests a second':^25}{'median ms':^19}{'p99 ms':^19}{'processor ms':^24}",
            f"{'profile':9}{'conns':>6}  {'bare':>8}{'pipeline':>9}{'ratio':>7} "
            + 3 * f"{'bare':>9}{'pipeline':>9} "
            + f"{'ratio':>6}",
        ]
    )
    lines += [_row(profile, n, p) for profile, by_connections in points.items() for n, p in by_connections.items()]
    lines += ["", *(f"{name:10}" + ", ".join(f"{k} {v:.2f}" for k, v in each.items()) for name, each in parts.items())]
    if memory:
        requests, size = memory[-1]
        lines += [f"memory    {size / 1e6:.0f} MB after {requests} requests, {growth(memory):+.0f} bytes for each"]
    lines += ["", *more, *([""] if more else [])]
    lines += [f"{'met   ' if b.met else 'MISSED'}  {b.name:46} {b.wanted:>16}  {b.found:>10}" for b in found]
    return "\n".join(lines)
