"""The moment in which an upstream switches: what its connection passes through from now on, and until when."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import Final

from mitmproxy import http
from mitmproxy.websocket import WebSocketData

from holdpoint.approvals.windows import stream_end
from holdpoint.domain.access import KubeObject
from holdpoint.domain.exchange import Forwarded, Refused
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.protocols.kubernetes.frames import BadTunnel
from holdpoint.protocols.kubernetes.tunnels import Codec, codec_for
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.live import NO_END, LiveStream, refuse_changed
from holdpoint.stages.running import refuse_over
from holdpoint.stages.tunnels import Tunnel
from holdpoint.stages.upgrades import SWITCHING, Switched, is_declined, switched
from holdpoint.wire_tunnel import LINGER

_ENDED: Final = (LINGER + 1.0, 1.0)
"""Seconds, of client and server, after which connections that were ended are cut off: no program is to read on."""
_OVER: Final = (60.0, 60.0)
"""The same where they were closed by those who had them, for what they sent before to arrive."""


def open_tunnel(gateway: Gateway, flow: http.HTTPFlow) -> bool:
    """Begin a tunnel where the upstream has switched. Returns False for any other answer. Raises Refusal.

    A 101 that nobody asked for is one of those: it is withheld as what it is, an answer that cannot be inspected.
    """
    exchange, response = gateway.exchanges.of(flow), flow.response
    if exchange.upgrade is None or response is None:
        return False
    if response.status_code != SWITCHING:
        exchange.undone = is_declined(response)
        said = "upgrade refused by the upstream" if exchange.undone else "the upstream did not switch"
        exchange.declined = f"{said} ({response.status_code})"
        return False
    state = gateway.exchanges.expect(flow, Forwarded)
    permitted = state.cleared.permitted
    policies, target = gateway.services.policies, gateway.exchanges.target(flow)
    refuse_changed(permitted.decoded.access, permitted.decision, policies, target)
    refuse_over(exchange, streams=True)
    to = switched(exchange.upgrade, response)
    tunnel = Tunnel(gateway, flow, state, to, _codec(state, to))
    _register(gateway, flow, exchange, state)
    flow.websocket = flow.websocket or WebSocketData()
    exchange.tunnel = tunnel
    gateway.wire.leave_tunnel(flow, tunnel)
    return True


def _codec(state: Forwarded, to: Switched) -> Codec:
    resource = state.cleared.permitted.decoded.access.resource
    if not isinstance(resource, KubeObject):
        raise GatewayFault("an upgrade of what is no object of Kubernetes")
    asked = resource.options
    try:
        return codec_for(
            upgrade=to.upgrade.to,
            subprotocol=to.chosen,
            subresource=to.upgrade.subresource,
            tty=asked.tty,
            stdin=asked.stdin,
            ports=asked.ports,
        )
    except BadTunnel as error:
        raise Refusal(RefusalKind.WITHHELD, str(error)) from error


def _register(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, state: Forwarded) -> None:
    """Have the stream end with what let it begin, and its connection not be taken for idle as long as it lasts."""
    services, access = gateway.services, state.cleared.permitted.decoded.access
    grant = state.cleared.grant
    stream = LiveStream(
        exchange=exchange.id,
        principal=access.principal,
        access=access,
        target=access.target,
        since=gateway.clock.now(),
        until=_until(state),
        approval=grant.approval if grant else "",
        end=lambda refusal: gateway.abort(flow, refusal, ended=True),
    )
    closers = [exchange.release, services.live.open(stream)]
    if gateway.connections is not None:
        closers.append(gateway.connections.keep_open(flow.client_conn))
        cut = gateway.connections.cutter(flow)
        closers.append(lambda: cut(*(_ENDED if isinstance(exchange.state, Refused) else _OVER)))

    def release() -> None:
        while closers:
            closers.pop()()

    exchange.release = release


def _until(state: Forwarded) -> float:
    """Return when the token ends, or one of those that it came through, or what the approval opened."""
    permitted = state.cleared.permitted
    principal = permitted.decoded.access.principal
    ends = [who.expires_at for who in (principal, *principal.legs) if who.expires_at]
    return min([NO_END, stream_end(state.cleared.grant, permitted.decision.approvals), *ends])
