"""Is this traffic of a kind we inspect at all? Everything else ends here.

Sets the deny placeholder that only the last stage clears, finds the target, and refuses what mitmproxy would pass
unseen: raw TCP, QUIC, DNS, upgrades, a `Host` that disagrees with the connection, a plain connection to a TLS listener.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import ClassVar

from mitmproxy import ctx, flow, http, tcp, tls
from mitmproxy.connection import Client, Server
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer
from mitmproxy.proxy.mode_specs import RegularMode, ReverseMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from holdpoint.domain.exchange import Received
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.identity.bearer import refuse_token_in_query
from holdpoint.identity.metadata import Resource, is_metadata_path
from holdpoint.ids import new_id
from holdpoint.protocols import cors
from holdpoint.settings import Listener, Target
from holdpoint.shallow import shallow
from holdpoint.stages import metadata, routing, tls_contexts, upgrades
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import text
from holdpoint.stages.guard import Stage
from holdpoint.stages.heads import check_head, check_names_agree
from holdpoint.wire_layers import RefuseLayer, adopt

_UPSTREAM_CONNECTIONS = 256
_PLACEHOLDER = http.Response.make(503, b"the gateway has not cleared this request", {"content-type": "text/plain"})


def placeholder(at: float) -> http.Response:
    """Return the answer that stands until the last stage clears it. Every request has one of its own."""
    made = shallow(_PLACEHOLDER)
    made.data = shallow(_PLACEHOLDER.data)
    made.data.headers = http.Headers(_PLACEHOLDER.headers.fields)
    made.data.timestamp_start = made.data.timestamp_end = at
    return made


class Lockdown(Stage):
    """The first stage."""

    name: ClassVar[str] = "lockdown"

    def client_connected(self, client: Client) -> None:
        """Refuse what is not TCP; let one client connection hold many upstream connections."""
        if client.transport_protocol != "tcp":
            raise Refusal(
                RefusalKind.BAD_REQUEST, "only TCP is served", detail=f"transport {client.transport_protocol}"
            )
        self._listener(client)
        if self.gateway.connections is not None:
            self.gateway.connections.widen(client, _UPSTREAM_CONNECTIONS)

    def client_disconnected(self, client: Client) -> None:
        """See to it that the socket is closed."""
        if self.gateway.connections is not None:
            self.gateway.connections.release(client, client)

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        """See to it that the socket is closed."""
        if self.gateway.connections is not None:
            self.gateway.connections.release(data.client, data.server)

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Let mitmproxy choose the layer, then let pass HTTP through our own fence, TLS, and nothing else."""
        if self.gateway.is_poisoned(nextlayer.context.client):
            nextlayer.layer = RefuseLayer(nextlayer.context)
            return
        chooser = ctx.master.addons.get("nextlayer")
        if chooser is None:
            raise GatewayFault("mitmproxy's next_layer addon is gone")
        chooser.next_layer(nextlayer)
        chosen = nextlayer.layer
        if chosen is None:
            return  # not enough data yet; it will ask again
        stack = [chosen, *_children(chosen)]
        for layer in stack:
            if type(layer) is HttpLayer:
                adopt(self.gateway.wire, layer)
            elif not isinstance(layer, HttpLayer | ClientTLSLayer | ServerTLSLayer | NextLayer):
                raise Refusal(
                    RefusalKind.BAD_REQUEST, "only HTTP is served", detail=f"layer {type(layer).__name__} refused"
                )

    def tls_start_client(self, data: tls.TlsData) -> None:
        """Serve a listener's own certificate where it has one."""
        listener = self._listener(data.context.client)
        is_inside_connect = any(isinstance(x, HttpStream) for x in data.context.layers)
        if listener.tls is not None and not is_inside_connect:
            tls_contexts.serve_listener(data, listener)

    def tls_start_server(self, data: tls.TlsData) -> None:
        """Trust a target's own authority, and no other, where it names one; check the name that settings say."""
        address = data.conn.address if isinstance(data.conn, Server) else None
        targets = [t for t in self.gateway.services.settings.targets if (t.host, t.port) == (address or ("", 0))[:2]]
        if not targets:
            raise Refusal(RefusalKind.DENIED, "no such upstream")
        tls_contexts.trust_target(data, targets[0])

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Second line: connections go to targets and nowhere else."""
        address = data.server.address
        known = {(t.host, t.port) for t in self.gateway.services.settings.targets}
        if address is None or address[:2] not in known or data.server.transport_protocol != "tcp":
            raise Refusal(RefusalKind.DENIED, "no such upstream", detail=f"connection to {address} refused")

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Let CONNECT through to targets, on forward listeners only."""
        self._admit_connection(flow)
        listener = self._listener(flow.client_conn)
        settings = self.gateway.services.settings
        host, port = flow.request.host, flow.request.port
        if listener.mode != "forward" or not routing.connectable(settings, host=host, port=port):
            raise Refusal(RefusalKind.NOT_FOUND, "no target is served at this host", detail=f"CONNECT {host}:{port}")

    def http_connected(self, flow: http.HTTPFlow) -> None:
        """Forget the CONNECT itself: what comes through it are flows of their own."""
        self.gateway.exchanges.end(flow)

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        """Forget a CONNECT that was refused."""
        self.gateway.exchanges.end(flow)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Set the placeholder, check the head of the request, find its target."""
        flow.response = placeholder(self.gateway.clock.now())
        exchange = self.gateway.exchanges.begin(flow, new_id("ex"))
        exchange.began = self.gateway.clock.monotonic()
        self._admit_connection(flow)
        if not flow.live or flow.is_replay:
            raise Refusal(RefusalKind.DENIED, "replayed requests are not served")
        check_head(flow)
        listener = self._listener(flow.client_conn)
        upgrades_asked = upgrades.is_asked(flow.request)
        if is_metadata_path(flow.request.path):
            if upgrades_asked:
                raise Refusal(RefusalKind.BAD_REQUEST, "protocol upgrades are not served")
            self._tell(flow, exchange, listener)
            return
        refuse_token_in_query(flow.request.path)
        route = self._route(flow, listener)
        exchange.target = route.target
        exchange.resource = route.resource
        exchange.response_limit = route.target.response_bytes
        exchange.record_bodies = route.target.record_bodies
        exchange.masks = route.target.masks
        exchange.state = _received(flow, exchange, listener, route.target, route.path)
        exchange.readable_by = metadata.check_origin(flow.request, route.target, route.resource)
        # Not before the target is known: its protocol says how a refusal must look.
        if upgrades_asked:
            exchange.upgrade = upgrades.take(flow, route.target, route.path)
        self._require_ready()
        if exchange.readable_by and metadata.is_preflight(flow.request):
            answer = metadata.reply_preflight(flow.request, exchange.readable_by, route.target.protocol)
            self.gateway.reply(flow, "preflight", answer)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Say which pages may read the answer."""
        metadata.let_read(flow.response, self.gateway.exchanges.of(flow))

    def _tell(self, flow: http.HTTPFlow, exchange: Exchange, listener: Listener) -> None:
        """Answer a question for metadata, or refuse it: no upstream is asked, whatever it has at this path."""
        exchange.readable_by = cors.ANYBODY
        metadata.check_metadata_request(flow.request)
        target, resource = self._whose_metadata(flow, listener)
        exchange.target = target
        exchange.state = _received(flow, exchange, listener, target, flow.request.path)
        self._require_ready()
        if metadata.is_preflight(flow.request):
            self.gateway.reply(flow, "preflight", metadata.reply_preflight(flow.request, cors.ANYBODY, None))
            return
        settings, scopes = self.gateway.services.settings, self.gateway.scopes(target)
        answer = metadata.reply_metadata(flow.request, target, resource, settings, scopes)
        self.gateway.reply(flow, "metadata", answer)

    def _whose_metadata(self, flow: http.HTTPFlow, listener: Listener) -> tuple[Target, Resource]:
        settings, request = self.gateway.services.settings, flow.request
        if listener.mode == "reverse":
            return routing.metadata_by_reverse(settings, listener, host=_named(request), path=request.path)
        found = routing.forward_target(settings, host=request.host, port=request.port, scheme=request.scheme)
        check_names_agree(flow)
        routing.check_metadata_path(found[1], request.path)
        return found

    def _require_ready(self) -> None:
        if not self.gateway.ready:
            raise Refusal(RefusalKind.UNAVAILABLE, "the gateway cannot write records", retry_after=5)

    def _admit_connection(self, flow: http.HTTPFlow) -> None:
        if self.gateway.is_poisoned(flow.client_conn):
            raise Refusal(RefusalKind.FAULT, "this connection was given up")
        listener = self._listener(flow.client_conn)
        if listener.tls is not None and not flow.client_conn.tls_established:
            raise Refusal(RefusalKind.BAD_REQUEST, "this listener speaks TLS only")

    def _route(self, flow: http.HTTPFlow, listener: Listener) -> routing.Route:
        settings = self.gateway.services.settings
        request = flow.request
        if listener.mode == "reverse":
            return routing.by_reverse(settings, listener, host=_named(request), path=request.path)
        route = routing.by_forward(
            settings, host=request.host, port=request.port, scheme=request.scheme, path=request.path
        )
        check_names_agree(flow)
        return route

    def _listener(self, client: Client) -> Listener:
        name = client.sockname
        listener = self.gateway.listeners.get((name[0], name[1])) or self.gateway.listeners.get(("", name[1]))
        if listener is None:
            raise Refusal(RefusalKind.UNAVAILABLE, "the gateway is starting", detail=f"no listener at {name}")
        expected = ReverseMode if listener.mode == "reverse" else RegularMode
        if not isinstance(client.proxy_mode, expected):
            raise GatewayFault(f"listener `{listener.name}` got a connection of mode {client.proxy_mode}")
        return listener

    # What follows never happens on the roads above: rawtcp is off and upgrades are refused. If it does, it ends.

    def tcp_start(self, _flow: tcp.TCPFlow) -> None:
        """Refuse raw TCP."""
        raise Refusal(RefusalKind.BAD_REQUEST, "raw TCP is not served")

    def tcp_message(self, _flow: tcp.TCPFlow) -> None:
        """Refuse raw TCP."""
        raise Refusal(RefusalKind.BAD_REQUEST, "raw TCP is not served")

    def udp_start(self, _flow: flow.Flow) -> None:
        """Refuse UDP."""
        raise Refusal(RefusalKind.BAD_REQUEST, "UDP is not served")

    def dns_request(self, _flow: flow.Flow) -> None:
        """Refuse DNS."""
        raise Refusal(RefusalKind.BAD_REQUEST, "DNS is not served")

    def websocket_start(self, _flow: http.HTTPFlow) -> None:
        """Refuse WebSockets."""
        raise Refusal(RefusalKind.BAD_REQUEST, "WebSockets are not served")

    def websocket_message(self, _flow: http.HTTPFlow) -> None:
        """Refuse WebSockets."""
        raise Refusal(RefusalKind.BAD_REQUEST, "WebSockets are not served")


def _named(request: http.Request) -> str:
    return request.authority if request.is_http2 else text(request.headers, b"host")


def _received(flow: http.HTTPFlow, exchange: Exchange, listener: Listener, target: Target, path: str) -> Received:
    peer = flow.client_conn.peername
    began = flow.response.timestamp_start if flow.response is not None else 0.0  # of the placeholder
    return Received(
        id=exchange.id, target=target.name, listener=listener.name, peer=f"{peer[0]}:{peer[1]}", at=began, path=path
    )


def _children(layer: object) -> list[object]:
    found: list[object] = []
    while (child := getattr(layer, "child_layer", None)) is not None:
        found.append(child)
        layer = child
    return found
