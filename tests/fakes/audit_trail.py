"""What a gateway wrote down, read from its files as they stand."""

import json
import time
from pathlib import Path
from typing import Any

type Event = dict[str, Any]


def trail(folder: Path) -> list[Event]:
    """Every event of the audit log in order. A line that is still being written is left out."""
    found: list[Event] = []
    for file in sorted((folder / "audit").glob("*.jsonl")):
        lines = file.read_bytes().splitlines(keepends=True)
        found += [event for line in lines if line.endswith(b"\n") and (event := json.loads(line).get("event"))]
    return found


def until_written(folder: Path, *, after: int = 0, **wanted: str) -> Event:
    """Return the first event with these fields, not counting the first `after`, as soon as it is on disk.

    Raises AssertionError when it never is.
    """
    deadline = time.monotonic() + 20
    while True:
        events = trail(folder)[after:]
        for event in events:
            if all(event.get(name, "") == value for name, value in wanted.items()):
                return event
        assert time.monotonic() < deadline, f"no event {wanted} among {[e.get('stage') for e in events]}"
        time.sleep(0.01)  # the gateway writes it in a thread of another process
