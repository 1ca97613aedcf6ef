"""Figures of calls made one after another, by several ways in turn: what a way adds to another in the same run."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tests.benchmarks.figures import Budget
from tests.benchmarks.parts import percentile

DIRECT, BARE, PIPELINE = "direct", "bare", "pipeline"


@dataclass(frozen=True, slots=True)
class Took:
    """What the calls of one way took in one round. Seconds."""

    latencies: Sequence[float]
    """Of each call."""
    cpu: float = 0.0
    """Processor time of the program in between for each call; 0 where there is none, or no /proc."""


type Round = Mapping[str, Took]
"""By the way."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way from client to server. All of it in milliseconds but `ratio`."""

    median_ms: float
    """The median of the rounds' medians."""
    p99_ms: float
    """Of the calls of all rounds."""
    added_ms: float
    """The median over bare mitmdump of the same round: the median of the rounds."""
    ratio: float
    """The median to that of bare mitmdump of the same round: the median of the rounds."""
    cpu_ms: float
    """Processor time of the program in between for each call: what a busy machine changes least."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the ways took in one run."""

    name: str
    budget_ms: float
    """What the pipeline may add to bare mitmdump: less than it for events, no more than it for calls."""
    rounds: int
    ways: dict[str, Way]

    @property
    def added_ms(self) -> float:
        """What the pipeline adds to bare mitmdump."""
        return self.ways[PIPELINE].added_ms


def trial(name: str, rounds: Sequence[Round], *, budget_ms: float) -> Trial:
    """Sum up the rounds of one trial. Each round has every way."""
    ways: dict[str, Way] = {}
    for way in rounds[0]:
        medians = [(_median_ms(each[way]), _median_ms(each[BARE])) for each in rounds]
        ways[way] = Way(
            median_ms=statistics.median(m for m, _ in medians),
            p99_ms=percentile(sorted(s for each in rounds for s in each[way].latencies), 0.99) * 1e3,
            added_ms=statistics.median(m - bare for m, bare in medians),
            ratio=statistics.median(m / bare for m, bare in medians),
            cpu_ms=statistics.median(each[way].cpu for each in rounds) * 1e3,
        )
    return Trial(name, budget_ms, len(rounds), ways)


def _median_ms(took: Took) -> float:
    return statistics.median(took.latencies) * 1e3


def trial_budgets(trials: Sequence[Trial]) -> list[Budget]:
    """Compare with the budgets of the design."""
    return [
        Budget(f"{t.name}: added median", f"<= {t.budget_ms} ms", f"{t.added_ms:.2f} ms", t.added_ms <= t.budget_ms)
        for t in trials
    ]


def trials_as_json(trials: Sequence[Trial]) -> dict[str, object]:
    """Return every trial by its name."""
    return {t.name: asdict(t) for t in trials}


def trial_lines(trials: Sequence[Trial]) -> list[str]:
    """Return the figures for people."""
    if not trials:
        return []
    head = (
        f"{'calls in turn':26}{'way':20}{'median ms':>10}{'p99 ms':>9}{'added ms':>10}{'ratio':>7}{'processor ms':>14}"
    )
    lines = [head]
    for t in trials:
        for i, (name, w) in enumerate(t.ways.items()):
            title = "" if i else t.name
            lines.append(
                f"{title:26}{name:20}{w.median_ms:>10.2f}{w.p99_ms:>9.2f}{w.added_ms:>+10.2f}{w.ratio:>7.2f}{w.cpu_ms:>14.2f}"
            )
    return lines
