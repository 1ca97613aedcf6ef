"""`holdpoint policy check`: everything that is wrong with a bundle, at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from holdpoint.domain.access import Protocol
from holdpoint.policy.bundle import read_bundle


def check(files: Sequence[Path], targets: Mapping[str, Protocol]) -> list[str]:
    """Return one line for each problem, with file, line and column. None: the bundle can be loaded."""
    _, problems = read_bundle(files, targets=targets)
    return [str(problem) for problem in problems]
