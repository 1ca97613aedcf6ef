"""What a verification found."""

from dataclasses import dataclass
from enum import StrEnum

from holdpoint.recording.heads import Head


class Problem(StrEnum):
    """What is wrong with the recordings. The value is part of the public reference."""

    NO_LOG = "no-log"
    EDITED_LINE = "edited-line"
    BROKEN_CHAIN = "broken-chain"
    """A line is missing, moved or put in between."""
    MISSING_SEGMENT = "missing-segment"
    BAD_HEAD = "bad-head"
    UNKNOWN_KEY = "unknown-key"
    REWRITTEN = "rewritten"
    """The chain is whole in itself, but is not the one that was signed."""
    TRUNCATED = "truncated"
    """The log ends before a signed head."""
    UNSIGNED = "unsigned"
    """No head covers what a running gateway would have signed by then."""
    MISSING_FLOWS = "missing-flows"
    EDITED_FLOW = "edited-flow"
    UNVOUCHED_FLOW = "unvouched-flow"
    """Bytes that no event vouches for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem and its place."""

    problem: Problem
    file: str
    """Relative to the folder of recordings."""
    message: str
    line: int | None = None
    """Counted from one."""
    offset: int | None = None
    """Byte, counted from zero."""

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f":{self.line}"
        if self.offset is not None:
            place += f", byte {self.offset}"
        return f"{place}: {self.message} ({self.problem.value})"


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of a verification."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What is no tampering, and worth knowing."""
    segments: int
    lines: int
    events: int
    heads: int
    flow_files: int
    records: int
    unsigned_tail: int
    """Lines behind the last head."""
    last_head: Head | None
    """To be written down elsewhere: given as `anchor` next time, it also proves that nothing was rolled back."""

    @property
    def ok(self) -> bool:
        """Whether all of it holds. An empty folder does not."""
        return not self.findings
