"""Nothing fails open: every hook of every stage is wrapped, and whatever it raises becomes a refusal.

mitmproxy logs an exception in a hook and forwards the request all the same; some exceptions hang the flow or end the
process. The wrapper catches BaseException, refuses by the type of the hook's argument, and skips later stages for an
exchange that was refused, or that the gateway itself answered. A stage inherits from `Stage` and cannot forget it:
hooks are wrapped when the class is made.
"""

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from mitmproxy import exceptions, hooks, http, tcp, udp, websocket
from mitmproxy.connection import Client, Server
from mitmproxy.dns import DNSFlow
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import ClientHelloData, TlsData

from holdpoint.domain.exchange import Refused, Replied
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.stages.gateway import Gateway
from holdpoint.wire_layers import RefuseLayer

logger = logging.getLogger(__name__)

LIFECYCLE_HOOKS = frozenset({"load", "configure", "running", "done"})
"""Hooks of the addon itself. An exception there ends the start, which is right."""

_SKIPPED_ONCE_REFUSED = frozenset({"requestheaders", "request", "responseheaders", "response"})


def guarded_hooks() -> frozenset[str]:
    """Return the names of all hooks that the guard wraps."""
    return frozenset(hooks.all_hooks) - LIFECYCLE_HOOKS


class Stage:
    """An addon of the pipeline. Every hook that a subclass defines or inherits is fail-closed."""

    name: ClassVar[str]
    sees_refused: ClassVar[bool] = False
    """Whether hooks also run for an exchange that the gateway refused or answered itself (to record it)."""
    time_limit: ClassVar[float | None] = 30.0
    """Seconds that one asynchronous hook may take; None for a stage that keeps its own deadline."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        fail_closed(cls)


def fail_closed[S: Stage](cls: type[S]) -> type[S]:
    """Wrap every hook of a stage class, inherited ones too. Wrapping twice changes nothing."""
    for name in guarded_hooks():
        hook = getattr(cls, name, None)
        if hook is not None and callable(hook) and not is_guarded(hook):
            setattr(cls, name, _wrap(name, hook))
    return cls


def is_guarded(hook: object) -> bool:
    """Tell whether a hook was wrapped."""
    return getattr(hook, "__holdpoint_guarded__", False) is True


def _wrap(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(hook)
    def guarded(self: Stage, *args: Any) -> Awaitable[None] | None:  # noqa: ANN401  # a hook's own argument
        subject = args[0] if args else None
        if name in _SKIPPED_ONCE_REFUSED and _is_skipped(self, subject):
            return None
        try:
            result = hook(self, *args)
        except BaseException as error:  # noqa: BLE001  # every one of them would fail open
            deny(self.gateway, name, subject, error)
            return None
        if result is not None and inspect.isawaitable(result):
            return _guard_awaitable(self, name, subject, result)
        return None

    guarded.__holdpoint_guarded__ = True  # type: ignore[attr-defined]  # the mark that is_guarded reads
    return guarded


async def _guard_awaitable(stage: Stage, name: str, subject: object, awaitable: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(stage.time_limit):
            await awaitable
    except BaseException as error:  # noqa: BLE001  # every one of them would fail open
        if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) is not None:
            # Without this the flow hangs: mitmproxy would take the hook's task as cancelled itself.
            while task.cancelling():
                task.uncancel()
        deny(stage.gateway, name, subject, error)


def _is_skipped(stage: Stage, subject: object) -> bool:
    if not isinstance(subject, http.HTTPFlow):
        return False
    has_ended = isinstance(stage.gateway.exchanges.get(subject), Refused | Replied)
    return (has_ended and not stage.sees_refused) or stage.gateway.is_over(subject)


def deny(gateway: Gateway, hook: str, subject: object, error: BaseException) -> None:
    """Turn what a hook raised into a refusal of what it was asked about.

    Raises AddonHalt for TLS hooks, and nothing else: mitmproxy then has no TLS context and fails the connection.
    """
    refusal = error if isinstance(error, Refusal) else _fault(hook, error)
    try:
        _deny(gateway, hook, subject, refusal)
    except exceptions.AddonHalt:
        raise
    except BaseException:  # the last line: a refusal that cannot be built must still not let the request through
        logger.critical("hook `%s`: the refusal itself failed; ending what can be ended", hook, exc_info=True)
        _last_resort(gateway, subject)


def _fault(hook: str, error: BaseException) -> Refusal:
    detail = f"{hook}: {type(error).__name__}: {error}"
    if isinstance(error, GatewayFault):
        logger.error("hook `%s` failed: %s", hook, error)
    else:
        logger.error("hook `%s` failed", hook, exc_info=error)
    return Refusal(RefusalKind.FAULT, "the gateway failed while handling this request", detail=detail)


def _deny(gateway: Gateway, hook: str, subject: object, refusal: Refusal) -> None:  # noqa: C901, PLR0912
    match subject:
        case http.HTTPFlow():
            _deny_http(gateway, hook, subject, refusal)
        case tcp.TCPFlow() | udp.UDPFlow():
            if subject.messages:
                subject.messages[-1].content = b""
            gateway.close_client(subject.client_conn)
        case DNSFlow():
            subject.kill()
            gateway.close_client(subject.client_conn)
        case ServerConnectionHookData():
            subject.server.error = "refused by the gateway"
            if hook != "server_connect":
                gateway.poison(subject.client)
        case Client():
            subject.error = "refused by the gateway"
            gateway.poison(subject)
        case Server():
            subject.error = "refused by the gateway"
        case TlsData():
            gateway.poison(subject.context.client)
            subject.ssl_conn = None
            if hook in ("tls_start_client", "tls_start_server"):
                raise exceptions.AddonHalt
        case ClientHelloData():
            gateway.poison(subject.context.client)
        case NextLayer():
            subject.layer = RefuseLayer(subject.context)
            gateway.poison(subject.context.client)
        case _:
            context = getattr(subject, "context", None)
            client = getattr(context, "client", None)
            if isinstance(client, Client):
                gateway.poison(client)


def _deny_http(gateway: Gateway, hook: str, flow: http.HTTPFlow, refusal: Refusal) -> None:
    if flow.websocket is not None and hook.startswith("websocket"):
        drop_message(flow.websocket)
        gateway.close_client(flow.client_conn)
        return
    match hook:
        case "http_connect":
            gateway.refuse(flow, refusal, now=True)
        case "http_connected" | "http_connect_error":
            gateway.poison(flow.client_conn)
        case "requestheaders" | "request":
            gateway.refuse(flow, refusal)
        case "responseheaders":
            if isinstance(gateway.exchanges.get(flow), Refused | Replied):
                return  # this is our own answer on its way out
            gateway.refuse(flow, refusal)
            gateway.stream_refusal(flow)
        case "response":
            if gateway.is_streamed(flow):
                gateway.abort(flow, refusal)
            else:
                gateway.refuse(flow, refusal)
        case "error":
            gateway.note_fault(flow, refusal)
        case _:
            gateway.refuse(flow, refusal)
            gateway.poison(flow.client_conn)


def drop_message(data: websocket.WebSocketData) -> None:
    """Drop the newest message of a WebSocket."""
    if data.messages:
        data.messages[-1].drop()


def _last_resort(gateway: Gateway, subject: object) -> None:
    if isinstance(subject, http.HTTPFlow):
        subject.response = http.Response.make(503, b"refused by the gateway", {"content-type": "text/plain"})
        gateway.wire.forget(subject)
        gateway.exchanges.mark_refused(subject)
        gateway.poison(subject.client_conn)
