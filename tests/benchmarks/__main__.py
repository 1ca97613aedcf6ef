"""`scripts/bench`: a bare mitmdump and the whole pipeline in turn, on loopback and on the disk of this checkout."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from tests.benchmarks import approvals, kubernetes, parts, sdk
from tests.benchmarks.figures import Figures, Point, as_json, budgets, growth, point, report
from tests.benchmarks.profiles import PROFILES, Profile
from tests.benchmarks.subjects import Arena
from tests.benchmarks.trials import Trial, trial_budgets, trial_lines, trials_as_json
from tests.fakes.processes import ROOT


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    warm_up: float
    connections: tuple[int, ...]


FULL = Plan(rounds=3, seconds=4.0, warm_up=0.7, connections=(1, 16, 64))
QUICK = Plan(rounds=3, seconds=0.6, warm_up=0.15, connections=(1, 16, 64))
MAIN = 16
NAMES = [*(p.name for p in PROFILES), sdk.SDK, sdk.STREAM, kubernetes.KUBERNETES, approvals.APPROVALS]


def _rounds(
    arena: Arena, profile: Profile, connections: int, plan: Plan, memory: list[tuple[int, int]]
) -> Iterator[tuple[Figures, Figures]]:
    for _ in range(plan.rounds):
        done = [
            s.load(profile, connections=connections, seconds=plan.seconds, warm_up=plan.warm_up)
            for s in (arena.bare, arena.pipeline)
        ]
        memory.append((arena.pipeline.served, arena.pipeline.memory()))
        yield done[0], done[1]


def _load(
    folder: Path, plan: Plan, profiles: tuple[Profile, ...], soak: int, memory: list[tuple[int, int]]
) -> dict[str, dict[int, Point]]:
    points: dict[str, dict[int, Point]] = {}
    if not profiles:
        return points
    folder.mkdir()
    with Arena(folder) as arena:
        for subject in (arena.bare, arena.pipeline):
            for profile in profiles:
                subject.load(profile, connections=4, seconds=plan.warm_up, warm_up=plan.warm_up)
        for profile in profiles:
            points[profile.name] = {n: point(list(_rounds(arena, profile, n, plan, memory))) for n in plan.connections}
        until = arena.pipeline.served + soak
        while arena.pipeline.served < until:
            arena.pipeline.load(profiles[-1], connections=16, seconds=5, warm_up=0)
            memory.append((arena.pipeline.served, arena.pipeline.memory()))
    return points


def _in_turn(folder: Path, amount: sdk.Amount, names: list[str], *, with_peers: bool) -> list[Trial]:
    names = [n for n in names if n in (sdk.SDK, sdk.STREAM)]
    if not names:
        return []
    folder.mkdir()
    return sdk.measure(folder, amount, tuple(names), with_peers=with_peers)


def _kubernetes(folder: Path, names: list[str], *, quick: bool) -> kubernetes.Found | None:
    if kubernetes.KUBERNETES not in names:
        return None
    folder.mkdir()
    return kubernetes.measure(folder, quick=quick)


def _approvals(folder: Path, names: list[str], *, quick: bool) -> approvals.Found | None:
    if approvals.APPROVALS not in names:
        return None
    folder.mkdir()
    return approvals.measure(folder, quick=quick)


def measure(folder: Path, given: argparse.Namespace) -> dict[str, object]:
    """Measure everything, print it, and return it."""
    before = os.getloadavg()
    names: list[str] = given.profile or NAMES
    plan = QUICK if given.quick else FULL
    if given.connections:
        plan = Plan(plan.rounds, plan.seconds, plan.warm_up, tuple(given.connections))
    memory: list[tuple[int, int]] = []
    points = _load(folder / "load", plan, tuple(p for p in PROFILES if p.name in names), given.soak, memory)
    amount = sdk.QUICK if given.quick else sdk.FULL
    trials = _in_turn(folder / "sdk", amount, names, with_peers=given.peers)
    alone = {
        "fsync": parts.disk(folder),
        "masking": parts.masking(folder),
        "policy": parts.policy(folder),
        "verify": parts.verifying(),
    }
    road = _kubernetes(folder / "kubernetes", names, quick=given.quick)
    held = _approvals(folder / "approvals", names, quick=given.quick)
    found = budgets(points, alone, memory) + trial_budgets(trials)
    said = trial_lines(trials)
    if road is not None:
        found += kubernetes.budgets(road)
        said += kubernetes.lines(road)
    if held is not None:
        found += approvals.budgets(held)
        said += approvals.lines(held)
    sys.stdout.write(report(points, alone, memory, found, said) + "\n")
    machine = (
        f"load of the machine before and after: {before[0]:.1f}, {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    sys.stdout.write(machine + "\n")
    last = memory[-1] if memory else (0, 0)
    return {
        "profiles": {name: as_json(p, MAIN if MAIN in p else max(p)) for name, p in points.items()},
        "in_turn": trials_as_json(trials),
        **alone,
        "kubernetes": kubernetes.as_json(road) if road is not None else {},
        "approvals": approvals.as_json(held) if held is not None else {},
        "memory": {
            "requests": last[0],
            "bytes": last[1],
            "bytes_per_request": growth(memory) if memory else 0.0,
            "samples": memory,
        },
        "budgets": [asdict(b) for b in found],
        "versions": parts.versions(),
        "plan": asdict(plan),
        "amount": asdict(amount),
        "load_average": {"before": before, "after": os.getloadavg()},
    }


def main() -> None:
    """Measure. The exit status says that everything ran and every answer was right, not that a budget was met."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=main.__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--quick", action="store_true", help="about a minute, for a first impression")
    parser.add_argument("--profile", choices=NAMES, action="append", help="only this kind of request")
    parser.add_argument("--connections", type=int, action="append", help="only this number of connections")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="N more requests, to see memory stay flat")
    parser.add_argument(
        "--peers", action="store_true", help="other gateways as well, from PyPI, in the calls of mcp-sdk"
    )
    given = parser.parse_args()
    began = time.monotonic()
    # Under the checkout, not in /tmp: that may be memory, and the disk is part of what is measured.
    var = ROOT / "var"
    var.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=var) as folder:
        found = measure(Path(folder), given)
    found["seconds"] = round(time.monotonic() - began, 1)
    sys.stderr.write(f"in {found['seconds']} s\n")
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
