"""A tunnel's transcript on its way into the recording: piece by piece while it lasts, and as a whole when it ends."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable
from typing import Final, Protocol

from mitmproxy import http

from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.values import JsonObject
from holdpoint.protocols.kubernetes.frames import Frame, Side
from holdpoint.recording import scrub
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.recording.scrub import FlowState
from holdpoint.recording.transcript import PIECE_SECONDS, Kept, Message, Seal, Transcript, websocket_state
from holdpoint.recording.typed import purpose_of
from holdpoint.seals import Seals
from holdpoint.stages import describe, sealing
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import raw
from holdpoint.stages.gateway import Gateway

logger = logging.getLogger(__name__)
COPY: Final = "cp"


class Later(Protocol):
    """Calls something in so many seconds."""

    def __call__(self, seconds: float, what: Callable[[], None], /) -> "Cancellable":
        """Return a handle of the call."""
        ...


class Cancellable(Protocol):
    """A call that has not been made."""

    def cancel(self) -> None:
        """Do not make it."""
        ...


def _on_loop(seconds: float, what: Callable[[], None]) -> Cancellable:
    return asyncio.get_running_loop().call_later(seconds, what)


class TunnelRecord:
    """Writes down one tunnel. What fails in here is the recorder's to say: it refuses new requests by then."""

    def __init__(
        self, gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, *, kept: Kept, later: Later = _on_loop
    ) -> None:
        """`kept` says what is written down; `later` is for tests."""
        self._gateway = gateway
        self._flow = flow
        self._exchange = exchange
        self._later = later
        self._timer: Cancellable | None = None
        self._ended: float | None = None
        self._head: FlowState | None = None
        self.transcript = Transcript(kept)

    def add(self, frame: Frame) -> None:
        """Note a frame that goes on, with what is in it now."""
        at = self._gateway.clock.now()
        is_client = frame.side is Side.CLIENT
        self.transcript.add(frame.stream, frame.data, from_client=is_client, at=at, final=frame.final)
        self._schedule()

    def say(self, stream: str, data: bytes) -> None:
        """Note what the gateway itself showed to the client."""
        self.transcript.add(stream, data, from_client=False, at=self._gateway.clock.now())
        self._schedule()

    def end(self) -> None:
        """Stop. Where there were pieces, the last one goes out; else the record at the end holds it all."""
        self._ended = self._gateway.clock.now() if self._ended is None else self._ended
        if self.transcript.waits and self.transcript.pieces:
            self._flush()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def websocket(self) -> dict[str, object]:
        """Return the messages of the record at the end."""
        return websocket_state(self.transcript.whole(), ended=self._ended or self._gateway.clock.now())

    def _schedule(self) -> None:
        if self.transcript.is_due:
            self._flush()
        elif self._timer is None and self.transcript.waits:
            self._timer = self._later(PIECE_SECONDS, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        session = self._exchange.session
        if session is None or not self.transcript.waits:
            return
        piece = self.transcript.take()
        number = self.transcript.pieces
        event = self._gateway.event(self._exchange, AuditStage.SHOWN, {"piece": number, "messages": len(piece)})
        # A file of its own: the session's own flow files hold whole exchanges, which can be replayed.
        file = Session(f"{session.id}.{self._exchange.id}", session.started)
        try:
            self._gateway.services.recorder.record_answer(file, self._state(event, session.id, piece), event)
        except RecorderUnavailable as error:
            logger.error("a piece of `%s` was not recorded: %s", self._exchange.id, error)  # noqa: TRY400  # its own words

    def _state(self, event: AuditEvent, session: str, piece: tuple[Message, ...]) -> FlowState:
        flow, number = self._flow, self.transcript.pieces
        if self._head is None or flow.error is not None:
            self._head = self._scrubbed()
        # An id of its own: mitmproxy shows one flow for each id.
        state = {**self._head, "id": f"{flow.id}-{number}", "websocket": websocket_state(piece)}
        kept = describe.metadata(self._exchange, event, session) | {"outcome": "under way", "piece": number}
        return scrub.described(state, kept)

    def _scrubbed(self) -> FlowState:
        """Return what is the same in every piece."""
        flow, services = self._flow, self._gateway.services
        masker = services.policies.masker(self._exchange.masks)
        state = scrub.state_of(flow, services.connections)
        path = sealing.masked_path(flow.request.path, masker).encode("utf-8", "surrogateescape")
        state["request"] |= {"path": path, "headers": sealing.masked_headers(raw(flow.request.headers), masker)}
        return scrub.flow_state(state, scrub.Bodies(websocket=websocket_state(())), {})


def kept_of(exchange: Exchange, verb: str, seals: Seals) -> Kept:
    """Return what of an exchange's tunnel is written down, as its target's settings say."""
    target = exchange.target
    is_kept = verb != COPY and exchange.record_bodies
    is_sealed = target is not None and target.record_stdin and is_kept
    return Kept(output=is_kept, stdin=_seal(seals, exchange.id) if is_sealed else None)


def _seal(seals: Seals, exchange: str) -> Seal:
    def seal(data: bytes, number: int) -> bytes:
        payload: JsonObject = {"n": number, "data": b64encode(data).decode("ascii")}
        return seals.stamp(payload, purpose=purpose_of(exchange)).encode("ascii")

    return seal
