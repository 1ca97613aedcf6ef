"""What is written down, and when. After the stages and levels of Kubernetes audit."""

from dataclasses import dataclass, field
from enum import StrEnum

from holdpoint.domain.values import JsonObject, JsonValue


class AuditStage(StrEnum):
    """At which point of an exchange, or of the gateway's life, an event was written."""

    STARTED = "Started"
    STOPPED = "Stopped"
    RELOADED = "Reloaded"
    REFUSED = "Refused"
    HELD = "Held"
    VOTED = "Voted"
    RESOLVED = "Resolved"
    FORWARDED = "Forwarded"
    """Durable before the first byte goes upstream."""
    ANSWERED = "Answered"
    """Carries the digest of the flow record."""
    SHOWN = "Shown"
    """A piece of what an upgraded connection showed so far, with the digest of its record."""
    REPLIED = "Replied"
    """The gateway had the answer itself."""
    FAILED = "Failed"
    ENDED = "Ended"
    """A stream that the gateway ended: its token, its grant or what policy allows was over, or an operator said so."""
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    WITHHELD = "Withheld"
    PREVIEWED = "Previewed"
    """The gateway asks an upstream by itself, to show what a held request would change. Durable before it is sent."""
    REASONED = "Reasoned"
    """A requester said why."""
    GLASS_BROKEN = "GlassBroken"
    GLASS_REVIEWED = "GlassReviewed"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    NOTIFIED = "Notified"
    """A notice was delivered, or given up."""
    VIEWED = "Viewed"
    """Somebody is about to be shown recordings. Durable before he sees any."""
    PANIC = "Panic"
    PINNED = "Pinned"
    """A tool's definition was pinned at first sight."""
    PIN_CHANGED = "PinChanged"
    """A server describes a tool otherwise than was approved."""
    PIN_APPROVED = "PinApproved"
    PIN_FORGOTTEN = "PinForgotten"
    RECOVERED = "Recovered"
    """The log itself was mended: what was cut, how long nothing could be written."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the audit log, before it is chained."""

    stage: AuditStage
    at: float
    """Unix seconds."""
    exchange: str = ""
    """Id of the exchange, or empty for events of the gateway itself."""
    session: str = ""
    """Id of the recorded session."""
    principal: JsonObject = field(default_factory=dict[str, JsonValue])
    target: str = ""
    action: str = ""
    resource: str = ""
    decision: JsonObject = field(default_factory=dict[str, JsonValue])
    detail: JsonObject = field(default_factory=dict[str, JsonValue])
    """What the stage adds. Masked: it is stored and exported."""
