"""What passes through an upgraded connection: every frame is looked at before it goes on, and noted once it did.

Output is masked and searched as it comes; what is typed passes as it is; the bytes of a copy are never changed. After
a failure nothing passes any more, in neither direction.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from mitmproxy import http

from holdpoint.domain.exchange import Answered, Forwarded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.protocols.kubernetes import status
from holdpoint.protocols.kubernetes.frames import BadTunnel, Ending, Frame, Raw, Side
from holdpoint.protocols.kubernetes.tunnels import Codec
from holdpoint.stages.forwarded_ports import Ports
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.kept_back import Screens
from holdpoint.stages.screens import HOLD_BACK, Screen
from holdpoint.stages.tunnel_record import TunnelRecord, kept_of
from holdpoint.stages.tunnel_status import ExitStatus, status_of
from holdpoint.stages.upgrades import Switched
from holdpoint.through import Passed

logger = logging.getLogger(__name__)

_SENDER: Final = {
    "stdin": Side.CLIENT,
    "resize": Side.CLIENT,
    "stdout": Side.SERVER,
    "stderr": Side.SERVER,
    "error": Side.SERVER,
}
_SHOWN: Final = frozenset({"stdout", "stderr", "error"})
_COPY: Final = "cp"


class Tunnel:
    """One upgraded connection. A `Through` for the wire, and an `Upgraded` for the stages."""

    def __init__(self, gateway: Gateway, flow: http.HTTPFlow, state: Forwarded, to: Switched, codec: Codec) -> None:
        self._gateway = gateway
        self._flow = flow
        exchange = self._exchange = gateway.exchanges.of(flow)
        self._codec = codec
        self._to = to
        permitted = state.cleared.permitted
        self._is_copy = permitted.decoded.access.action.verb == _COPY
        masker = gateway.services.policies.masker(exchange.masks)
        echoes = gateway.services.credentials.echoes(gateway.exchanges.target(flow))
        self._ports = Ports(gateway.services, gateway.exchanges.target(flow), permitted)
        self.screens = Screens(lambda: Screen(masker, exchange.guards, echoes))
        self._exit = ExitStatus()
        kept = kept_of(exchange, permitted.decoded.access.action.verb, gateway.services.seals)
        self._record = TunnelRecord(gateway, flow, exchange, kept=kept)
        self._bytes: dict[Side, Counter[str]] = {Side.CLIENT: Counter(), Side.SERVER: Counter()}
        self._began = gateway.clock.monotonic()
        self._goodbye: Side | None = None
        self._left: Side | None = None
        self._ending: Ending | None = None
        self._is_over = False

    # What the wire asks

    def receive(self, side: Side, data: bytes) -> Passed:
        """See Through."""
        return self._guarded(lambda: self._received(side, data), side)

    def tick(self) -> Passed:
        """See Through."""
        return self._guarded(lambda: self._passed(Side.SERVER, list(self._flushed()), closes=False), Side.SERVER)

    def closed(self, side: Side) -> Passed:
        """See Through."""
        self._left = self._left or side
        return self._guarded(lambda: self._closed(side), side)

    def over(self) -> None:
        """See Through."""
        if self._is_over or self._gateway.is_over(self._flow):
            return
        self._is_over = True
        self._record.end()
        if isinstance(self._exchange.state, Forwarded):
            self._exchange.masked += self.screens.masked
            self._exchange.state = Answered(self._exchange.state, self._exchange.masked)
        self._gateway.on_aborted(self._flow)

    # What the stages ask

    def last_words(self, refusal: Refusal) -> Ending:
        """See Upgraded."""
        if self._ending is None:
            self._exchange.masked += self.screens.masked
            try:
                text = f"\r\n{status.message(refusal, refusal_id=self._exchange.id)}\r\n"
                said = status_of(refusal, self._exchange.id)
                self._ending = self._codec.end(text, said)
                self._record.say("stderr", text.encode())
                self._record.say("error", said)
            except BaseException:  # whatever it is, both sides are told nothing, and closed
                logger.critical("the last words of %s could not be said", self._exchange.id, exc_info=True)
                self._ending = Ending(b"", b"")
        return self._ending

    def summary(self) -> JsonObject:
        """See Upgraded."""
        who = self._goodbye or self._left
        said: JsonObject = {
            "upgrade": self._to.upgrade.to,
            "protocol": self._to.chosen,
            "seconds": round(self._gateway.clock.monotonic() - self._began, 3),
            "ended_by": "gateway" if self._ending is not None else who.value if who else "",
            "sent": {side.value: dict(sorted(counted.items())) for side, counted in self._bytes.items()},
        }
        if (exit_code := self._exit.code()) is not None:
            said["exit_code"] = exit_code
        said["shown"] = self._record.transcript.summary()
        return said

    def messages(self) -> dict[str, object]:
        """See Upgraded."""
        self._record.end()
        return self._record.websocket()

    # What passes

    def _guarded(self, work: Callable[[], Passed], side: Side) -> Passed:
        if self._ending is not None:
            return Passed(ending=self._ending)
        try:
            passed = work()
        except BaseException as error:  # noqa: BLE001  # whatever it is, nothing passes any more
            return self._fail(error, side)
        return passed

    def _fail(self, error: BaseException, side: Side) -> Passed:
        try:
            self._gateway.abort(self._flow, _refusal(error, side))
        except BaseException:
            logger.critical("the end of %s could not be written down", self._exchange.id, exc_info=True)
        return Passed(ending=self._ending or Ending(b"", b""))

    def _received(self, side: Side, data: bytes) -> Passed:
        if not self._gateway.services.healthy:
            raise Refusal(RefusalKind.UNAVAILABLE, "the gateway cannot write records")
        out: list[bytes] = []
        closes = False
        for item in self._codec.receive(side, data):
            if isinstance(item, Raw):
                out += self._raw(item)
                closes = closes or item.closes
            else:
                out += self._frame(item)
        if closes:
            self._goodbye = self._goodbye or side
        return self._passed(side, out, closes=closes)

    def _passed(self, side: Side, out: list[bytes], *, closes: bool) -> Passed:
        data = b"".join(out)
        wake = HOLD_BACK if self.screens.hold else None
        if side is Side.CLIENT:
            return Passed(server=data, closes=closes, wake=wake)
        return Passed(client=data, closes=closes, wake=wake)

    def _closed(self, side: Side) -> Passed:
        rest = list(self._flushed()) if side is Side.SERVER else []
        said_goodbye = self._goodbye is side
        if side is Side.SERVER and not said_goodbye and self._goodbye is None and self._expects_more():
            raise Refusal(RefusalKind.UPSTREAM, "the upstream closed the connection before the command ended")
        return self._passed(side, rest, closes=said_goodbye)

    def _expects_more(self) -> bool:
        """Tell whether a command was running whose end its user would not hear of."""
        return self._to.upgrade.subresource == "exec" and not self._exit.is_known

    def _raw(self, item: Raw) -> Iterator[bytes]:
        if item.opens:
            self._ports.check(item.opens)
        if item.closes and item.side is Side.SERVER:
            yield from self._flushed()
        elif item.ends:
            # A client who gives up a stream reads nothing more of it: what is kept back is for nobody.
            if item.side is Side.SERVER:
                yield from self._flushed(item.channel)
            self.screens.forget(item.channel)
        yield item.data

    def _frame(self, frame: Frame) -> Iterator[bytes]:
        self._bytes[frame.side][frame.stream] += len(frame.data)
        if frame.stream in _SENDER:
            if _SENDER[frame.stream] is not frame.side:
                raise BadTunnel(f"{frame.stream} came from the wrong side")
        else:
            self._ports.check(frame.stream)
        if frame.stream == "error":
            self._exit.add(frame.data)
        is_shown = frame.stream in _SHOWN or (frame.stream.endswith(":error") and frame.side is Side.SERVER)
        if not is_shown or self._is_copy:
            yield self._sent(frame)
            return
        screen = self.screens.of(frame)
        shown = screen.feed(frame.data)
        if frame.final or frame.stream == "error":
            shown += screen.flush()
        if shown or frame.final or not frame.data:
            yield self._sent(replace(frame, data=shown))
        if frame.final:
            self.screens.forget(frame.channel)

    def _flushed(self, channel: int | None = None) -> Iterator[bytes]:
        yield from map(self._sent, self.screens.flush(channel))

    def _sent(self, frame: Frame) -> bytes:
        self._record.add(frame)
        return self._codec.send(frame)


def _refusal(error: BaseException, side: Side) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, BadTunnel):
        if side is Side.CLIENT:
            return error.refusal()
        return Refusal(RefusalKind.WITHHELD, str(error), detail="the upstream left the protocol")
    logger.error("an upgraded connection failed", exc_info=error)
    detail = f"{type(error).__name__}: {error}"
    return Refusal(RefusalKind.FAULT, "the gateway failed while handling this connection", detail=detail)
