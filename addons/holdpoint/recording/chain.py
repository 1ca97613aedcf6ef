"""One line of the audit log: how it is written, read, and bound to the line before it. Pure: no files, no keys.

A line is canonical JSON, `{"event":E,"hash":H,"prev":P,"seq":N}`, or the same with `segment` for `event` where a file
of the log begins. H is SHA-256 over the 32 bytes of P and the bytes of E as they stand in the line: who checks a line
needs no JSON library that agrees with ours.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from holdpoint.domain.audit import AuditEvent
from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonObject, JsonValue

_LINE = re.compile(
    rb'\{"(event|segment)":(\{.*\}),"hash":"([0-9a-f]{64})","prev":"([0-9a-f]{64})","seq":(0|[1-9][0-9]{0,17})\}',
    re.DOTALL,
)
EVENT = b"event"
SEGMENT = b"segment"


class LineError(ValueError):
    """A line that is none of ours."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line taken apart. Nothing in it is checked yet."""

    kind: bytes
    """`EVENT` or `SEGMENT`."""
    body: bytes
    """The event or segment header, canonical JSON, as it stands."""
    hash: bytes
    prev: bytes
    seq: int

    @property
    def is_whole(self) -> bool:
        """Whether the hash is the hash of what the line says."""
        return chain_hash(self.prev, self.body) == self.hash


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a place in the chain."""

    seq: int
    hash: str
    """Hexadecimal."""


def genesis(log: str) -> bytes:
    """Return what the first line of the log with this id names as the hash before it."""
    return hashlib.sha256(b"holdpoint audit log 1\n" + log.encode()).digest()


def chain_hash(prev: bytes, body: bytes) -> bytes:
    """Return the hash of a line whose predecessor has hash `prev` (32 bytes)."""
    return hashlib.sha256(prev + body).digest()


def write_line(kind: bytes, body: bytes, prev: bytes, seq: int) -> tuple[bytes, bytes]:
    """Return the line, without its line feed, and its hash."""
    own = chain_hash(prev, body)
    line = b'{"%b":%b,"hash":"%b","prev":"%b","seq":%d}' % (kind, body, own.hex().encode(), prev.hex().encode(), seq)
    return line, own


def read_line(line: bytes) -> Line:
    """Take a line apart. Raises LineError."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise LineError("not a line of an audit log")
    kind, body, own, prev, seq = found.groups()
    return Line(kind, body, bytes.fromhex(own.decode()), bytes.fromhex(prev.decode()), int(seq))


def event_json(event: AuditEvent, detail: Mapping[str, JsonValue] | None = None) -> JsonObject:
    """Return an event as JSON, with `detail` added to its own. What is empty is left out."""
    value: JsonObject = {"stage": event.stage.value, "at": event.at}
    for name in ("exchange", "session", "target", "action", "resource"):
        if text := getattr(event, name):
            value[name] = text
    if event.principal:
        value["principal"] = event.principal
    if event.decision:
        value["decision"] = event.decision
    if event.detail or detail:
        value["detail"] = {**event.detail, **(detail or {})}
    return value


def event_bytes(event: AuditEvent, detail: Mapping[str, JsonValue] | None = None) -> bytes:
    """Return the canonical form of an event. Raises ValueError on what JSON cannot hold, TypeError likewise."""
    return canonical(event_json(event, detail))
