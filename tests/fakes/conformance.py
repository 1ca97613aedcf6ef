"""MCP's own conformance suite (npm @modelcontextprotocol/conformance), run against a URL, check by check."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.node_parts import need, node22
from tests.fakes.processes import Program

PATIENCE = 20
"""Seconds for a scenario; the longest takes two."""
DEADLINE = 240.0
"""Seconds for a whole run: a scenario that hangs takes all of its own, and a broken gateway has several."""
_SCENARIO = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which check: some ids stand several times in a scenario, always in the same order."""

    scenario: str
    check: str
    place: int = 1

    def __str__(self) -> str:
        return f"{self.scenario} {self.check}" + (f" #{self.place}" if self.place > 1 else "")


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one check."""

    status: str
    """`SUCCESS`, `FAILURE`, `WARNING` or `SKIPPED`."""
    message: str = ""
    """Why it failed, in the words of the suite."""


type Checks = Mapping[Key, Check]


class Suite:
    """One run of the suite, in the background until `finish`."""

    def __init__(self, url: str, version: str, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        script = need("@modelcontextprotocol/conformance") / "dist" / "index.js"
        command = [str(node22()), str(script), "server", "--url", url, "--suite", "all", "--spec-version", version]
        self._program = Program([*command, "--timeout", str(PATIENCE * 1000), "--output-dir", str(folder)], cwd=folder)

    def finish(self) -> Checks:
        """Wait for the end and return every check. Raises RuntimeError if the run gave none, or no end."""
        try:
            self._program.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self._program.stop()
            raise RuntimeError(f"the suite did not end; it said:\n{self._program.output}") from None
        checks = dict(_read(self.folder))
        if not checks:
            raise RuntimeError(f"the suite checked nothing; it said:\n{self._program.output}")
        return checks

    def stop(self) -> None:
        """End the run, finished or not."""
        self._program.stop()


def passed(checks: Checks) -> int:
    """Count the checks that passed."""
    return sum(c.status == "SUCCESS" for c in checks.values())


def differences(direct: Checks, through: Checks) -> list[str]:
    """Return a line for every check that did not come out the same, or is there on one side only."""
    nowhere = Check("not there")
    return [
        f"{key}: {a.status} directly, {b.status} through the gateway{f' ({b.message})' if b.message else ''}"
        for key in sorted({*direct, *through})
        if (a := direct.get(key, nowhere)).status != (b := through.get(key, nowhere)).status
    ]


def _read(folder: Path) -> Iterator[tuple[Key, Check]]:
    for results in sorted(folder.glob("server-*/checks.json")):
        named = _SCENARIO.fullmatch(results.parent.name)
        assert named is not None, results.parent.name
        seen: Counter[str] = Counter()
        for entry in json.loads(results.read_text()):
            # An INFO is a line of the scenario's own log: how many events came, say. It judges nothing.
            if entry["status"] == "INFO":
                continue
            seen[entry["id"]] += 1
            message = str(entry.get("errorMessage") or "")
            yield Key(named[1], entry["id"], seen[entry["id"]]), Check(entry["status"], message)
