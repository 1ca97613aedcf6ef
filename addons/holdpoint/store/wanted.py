"""What a page of requests is about."""

from dataclasses import dataclass

from holdpoint.domain.approval import ApprovalState


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests a page is about. What is empty restricts nothing."""

    states: frozenset[ApprovalState] | None = None
    """None: any."""
    target: str = ""
    person: str = ""
    """The person who stands behind the caller, exactly."""
    verb: str = ""
    text: str = ""
    """Part of the resource's or the person's name, in any case."""
    since: float = 0.0
    until: float = 0.0
    """Unix seconds: held at or after `since`, and before `until`."""
    readers: frozenset[str] | None = None
    """Names of whoever reads: `group:NAME`, `person:NAME` of reviewers, `requester:NAME`. None: sees everything."""
