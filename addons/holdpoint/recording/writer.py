"""Flow records into session files, each vouched for by an event of the audit log; and what a start finds unfinished."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from holdpoint.clock import Clock
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object, as_text
from holdpoint.ids import new_id
from holdpoint.recording import tnetstrings
from holdpoint.recording.annotation import comment, marker
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.chain import LineError, read_line
from holdpoint.recording.evidence import to_state
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.recording.journal import Opened
from holdpoint.recording.json_text import read
from holdpoint.recording.orphans import Orphan, cut_orphans
from holdpoint.recording.scrub import FlowState
from holdpoint.recording.segments import Place, read_lines, segment_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An exchange that was forwarded by a process that ended before the answer."""

    exchange: str
    event: JsonObject
    """Its `FORWARDED` event."""

    @property
    def detail(self) -> JsonObject:
        """What the stage added: request, grant, wire digest."""
        return as_object(self.event.get("detail"))


class Recorder:
    """Writes flow records through the audit log's thread."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    @property
    def healthy(self) -> bool:
        """Whether records can be written. False refuses new requests."""
        return self._log.healthy

    def record_answer(self, session: Session, flow_state: FlowState, event: AuditEvent) -> None:
        """Record a scrubbed flow, then chain `event` with `detail.record` = {file, offset, length, digest}.

        Returns at once. A failure makes the log unhealthy and is logged; the record is kept and written again.
        """
        self._log.submit_flow(session, lambda: tnetstrings.dumps(flow_state), event)

    def recover(self, opened: Opened) -> tuple[Unknown, ...]:
        """Finish what an earlier process left open. Call once, after `AuditLog.start`, before requests come in. Blocks.

        Every exchange that was forwarded and not ended gets an `OUTCOME_UNKNOWN` event and a flow record of its
        request. Bytes behind the last record that the log vouches for are moved out of their flow file, and noted.
        Raises ConfigError where the log does not hold what it should, or cannot be written.
        """
        try:
            for orphan in cut_orphans(self._log.folder, opened):
                self._log.submit(self._cut(orphan))
            unknown = tuple(self._read(exchange, place) for exchange, place in opened.open.items())
            sessions: dict[str, Session] = {}
            for found in unknown:
                self._mark(found, sessions)
            self._log.flush()
        except (OSError, RecorderUnavailable, TimeoutError) as error:
            raise ConfigError(f"recordings cannot be mended: {error}", where=str(self._log.folder)) from error
        if unknown:
            logger.warning("%d requests were forwarded before the last end, their outcome is unknown", len(unknown))
        return unknown

    def _cut(self, orphan: Orphan) -> AuditEvent:
        detail: JsonObject = {
            "cut": {"file": orphan.file, "offset": orphan.offset},
            "record": orphan.kept.as_json(),
        }
        return AuditEvent(AuditStage.RECOVERED, at=self._clock.now(), detail=detail)

    def _read(self, exchange: str, place: Place) -> Unknown:
        path = segment_path(self._log.folder, place.segment)
        raw = next(read_lines(path, offset=place.offset), None) if path.exists() else None
        if raw is None:
            logger.warning("segment %d is archived: the request of `%s` is not shown again", place.segment, exchange)
            return Unknown(exchange, {})
        try:
            line = read_line(raw.data)
            if not line.is_whole or line.hash.hex() != place.hash:
                raise LineError("the line is not the one that was written")
            return Unknown(exchange, as_object(read(line.body)))
        except ValueError as error:
            raise ConfigError(f"{error}: run `holdpoint audit verify`", where=f"{path}, byte {place.offset}") from None

    def _mark(self, found: Unknown, sessions: dict[str, Session]) -> None:
        at = self._clock.now()
        event = found.event
        # A session of its own: files of an earlier process are never written again.
        name = as_text(event.get("session"))
        session = sessions.setdefault(name, Session(new_id("ses"), at))
        metadata: JsonObject = {
            "exchange": found.exchange,
            "session": session.id,
            "outcome": "unknown",
            **{k: event[k] for k in ("principal", "target", "action", "resource", "decision") if k in event},
        }
        metadata["notes"] = [f"forwarded in session {name}; the gateway ended before the answer"]
        state = to_state(
            found.detail, at=_seconds(event, at), metadata=metadata, comment=comment(metadata), marker=marker(metadata)
        )
        unknown = AuditEvent(
            AuditStage.OUTCOME_UNKNOWN,
            at=at,
            exchange=found.exchange,
            session=session.id,
            principal=as_object(event.get("principal")),
            target=as_text(event.get("target")),
            action=as_text(event.get("action")),
            resource=as_text(event.get("resource")),
            detail=_carried(found.detail),
        )
        if state is None:
            self._log.submit(unknown)
        else:
            self.record_answer(session, state, unknown)


def _carried(detail: JsonMapping) -> JsonObject:
    """Return what later readers need beside the record: all but the request itself."""
    return {k: v for k, v in detail.items() if k not in ("request", "record")}


def _seconds(event: Mapping[str, JsonValue], otherwise: float) -> float:
    at = event.get("at")
    return float(at) if isinstance(at, int | float) else otherwise
