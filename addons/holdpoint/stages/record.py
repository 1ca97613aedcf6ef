"""What happened? Written down before anything is sent, and again when it ended: no record, no access."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import ClassVar

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import Answered, Cleared, Forwarded, Refused, Replied, State, decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.recording import secrets_in_text
from holdpoint.settings import Target
from holdpoint.stages import describe
from holdpoint.stages.dispatch import dispatch
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.guard import Stage
from holdpoint.stages.keeping import keep
from holdpoint.stages.sealing import seal_large


class Record(Stage):
    """The last stage. The only one that lets a request go."""

    name: ClassVar[str] = "record"
    sees_refused: ClassVar[bool] = True

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        gateway.on_aborted = self._finish

    async def request(self, flow: http.HTTPFlow) -> None:
        """Make the record durable, then let the request go."""
        exchange = self.gateway.exchanges.of(flow)
        if isinstance(exchange.state, Refused):
            if exchange.record_bodies and describe.who_asks(exchange.state) is not None:
                masker = self.gateway.services.policies.keeper(exchange.masks, exchange.target)
                await seal_large(flow, exchange, masker)
            return
        if isinstance(exchange.state, Replied):
            return
        state = self.gateway.exchanges.expect(flow, Cleared)
        forwarded, permission = await dispatch(self.gateway, flow, state)
        exchange.state = forwarded
        if self.gateway.connections is not None and self.gateway.exchanges.target(flow).protocol is not Protocol.HTTP:
            # A call, a watch or a stream may be silent for long; it is not idle.
            exchange.release = self.gateway.connections.keep_open(flow.client_conn)
        self.gateway.wire.admit(flow, permission)
        # The placeholder goes last: whatever failed above left it in place.
        flow.response = None

    def response(self, flow: http.HTTPFlow) -> None:
        """Record the whole exchange, refused or answered."""
        exchange = self.gateway.exchanges.of(flow)
        match exchange.state:
            case Forwarded() if exchange.tunnel is not None:
                return  # it begins now, and is written down when it ends
            case Forwarded() as state:
                exchange.state = Answered(state, exchange.masked)
                keep(self.gateway, flow, exchange)
            case Refused():
                self._restore_refusal(flow)
                keep(self.gateway, flow, exchange)
            case Replied():
                keep(self.gateway, flow, exchange)
            case other:
                raise Refusal(
                    RefusalKind.FAULT,
                    "the gateway failed while handling this request",
                    detail=f"an answer came for an exchange that is {type(other).__name__}",
                )
        self._end(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Record an exchange that ended without a whole answer."""
        exchange = self.gateway.exchanges.find(flow)
        if exchange is None:
            return
        if flow.error is not None and exchange.target is not None:
            # mitmproxy quotes what it could not read, which may be what the upstream was sent, or was to be masked.
            flow.error.msg = self._without_secrets(flow.error.msg, exchange, exchange.target)
        if isinstance(exchange.state, Forwarded) and not exchange.streamed:
            reason = flow.error.msg if flow.error else ""
            refusal = Refusal(RefusalKind.UPSTREAM, "the upstream did not answer", detail=reason)
            if exchange.client_left:
                refusal = Refusal(RefusalKind.UPSTREAM, "the caller left before the answer", detail="client gone")
            self.gateway.refuse(flow, refusal)
        elif not isinstance(exchange.state, Forwarded | Refused) and not exchange.client_left:
            reason = flow.error.msg if flow.error else ""
            self.gateway.refuse(flow, Refusal(RefusalKind.BAD_REQUEST, "not a valid HTTP request", detail=reason))
        if isinstance(exchange.state, Refused) and flow.response is not None and not exchange.streamed:
            # mitmproxy would answer with a page of its own.
            self.gateway.wire.leave_answer(flow, flow.response)
        self._finish(flow)

    def _without_secrets(self, message: str, exchange: Exchange, target: Target) -> str:
        services = self.gateway.services
        plain = services.credentials.echoes(target).hide_text(message)
        return secrets_in_text.text(services.policies.masker(exchange.masks).text(plain).value)

    def _finish(self, flow: http.HTTPFlow) -> None:
        if exchange := self.gateway.exchanges.find(flow):
            keep(self.gateway, flow, exchange)
            self._end(flow)

    def _restore_refusal(self, flow: http.HTTPFlow) -> None:
        # An upstream answer without a body is consumed, not streamed, and empties what the refusal had put there.
        if flow.response is not None:
            flow.response.trailers = None
            if (answer := self.gateway.wire.take_answer(flow)) is not None:
                flow.response.stream = False
                flow.response.content = answer.raw_content

    def _end(self, flow: http.HTTPFlow) -> None:
        if exchange := self.gateway.exchanges.find(flow):
            exchange.release()
            exchange.ended()
            self.gateway.services.running.remove(exchange)
            if (asked := decoded(exchange.state)) is not None:
                self.gateway.under_way.end(exchange, asked, is_over=_is_over(exchange.state))
        self.gateway.wire.forget(flow)
        self.gateway.exchanges.end(flow)


def _is_over(state: State | None) -> bool:
    """Tell whether nothing more can come of an exchange: it was answered whole, or never sent."""
    if isinstance(state, Refused):
        return not isinstance(state.reached, Forwarded | Answered)
    return isinstance(state, Answered)
