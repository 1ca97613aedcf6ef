"""Answers of Kubernetes targets: which of them stream, which are read whole, and what may be in them at all.

What streams is decided by what was asked, as it was decoded, and never by the head of the answer alone: a watch, a log,
and a list that is not known to be small. Discovery and OpenAPI documents are public and pass as they are.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from mitmproxy import http

from holdpoint.approvals.windows import stream_end
from holdpoint.credentials.echoes import Echoes
from holdpoint.domain.access import AccessRequest, KubeObject, KubePath
from holdpoint.domain.decision import GuardAnswer
from holdpoint.domain.exchange import Forwarded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masked, Masker
from holdpoint.masking.strict import NotJson, dumps, loads
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols.kubernetes.accept import OPENAPI
from holdpoint.stages import kube_shapes
from holdpoint.stages.answer_streams import keep_live
from holdpoint.stages.answers import media_type
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import text
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.guarding import check_bytes
from holdpoint.stages.kube_ends import is_log
from holdpoint.stages.kube_readers import ListReader, LogReader, WatchReader, is_clean, whole, withheld
from holdpoint.stages.live import refuse_changed
from holdpoint.stages.running import refuse_over
from holdpoint.stages.streaming import pump

SMALL: Final = 128 << 10
"""Bytes up to which a list whose length is known is read whole."""
_JSON: Final = "application/json"
_OK: Final = 200
_REFUSALS: Final = 400
_REVIEWS: Final = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
_PUBLIC: Final = re.compile(r"/(?:version|api(?:/v1)?|apis(?:/[^/]+){0,2}|openapi/v[23](?:/.+)?)/?")
_BINARY: Final = ("protobuf", "cbor")
_TYPELESS: Final = frozenset({204, 304})


def asked_of(state: Forwarded) -> AccessRequest:
    """Return what was asked."""
    return state.cleared.permitted.decoded.access


def is_public(access: AccessRequest) -> bool:
    """Tell whether an answer is discovery or an OpenAPI document, which every caller of a cluster may read.

    Masks would take the names of fields for those of values: in `token: {type: string}` there is nothing to hide.
    """
    return isinstance(access.resource, KubePath) and access.action.verb in ("get", "head") and _is_public(access)


def _is_public(access: AccessRequest) -> bool:
    path = access.resource.path if isinstance(access.resource, KubePath) else ""
    return _PUBLIC.fullmatch(path.partition("?")[0]) is not None


def is_passed_on(access: AccessRequest) -> bool:
    """Tell whether an answer is not the API server's own, but of a pod, service or node behind it."""
    return access.action.verb == "proxy"


def check_type(flow: http.HTTPFlow, access: AccessRequest, *, upgrades: bool = False) -> None:
    """Refuse an answer by its type. Raises Refusal.

    `Accept` asked for JSON. What comes in another form all the same is not read as something it is not. An upgrade
    (`upgrades`) is refused in plain words by a kubelet, by the container's runtime and by an API server alike.
    """
    response = flow.response
    if response is None or is_passed_on(access) or _has_no_body(flow.request, response):
        return
    kind = media_type(response)
    if kind.startswith(OPENAPI) and is_public(access):
        return
    if any(word in kind for word in _BINARY):
        raise withheld("it is not JSON")
    is_text = is_log(access) or (upgrades and response.status_code >= _REFUSALS)
    if isinstance(access.resource, KubeObject) and kind != _JSON and not (is_text and kind == "text/plain"):
        raise withheld("it is not JSON")


def _has_no_body(request: http.Request, response: http.Response) -> bool:
    empty = request.method == "HEAD" or response.status_code in _TYPELESS
    return empty or text(response.headers, b"content-length") == "0"


def stream_kubernetes(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> bool:
    """Send an answer on while it arrives, if it is one that streams. Raises Refusal."""
    state = gateway.exchanges.expect(flow, Forwarded)
    access, response = asked_of(state), flow.response
    check_type(flow, access, upgrades=exchange.upgrade is not None)
    if response is None or response.status_code != _OK or _has_no_body(flow.request, response):
        return False
    begin = _reader(access, response, exchange)
    if begin is None:
        return False
    if text(response.headers, b"content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refusal(RefusalKind.WITHHELD, "the upstream compressed a stream that must be inspected")
    policies, target = gateway.services.policies, gateway.exchanges.target(flow)
    refuse_changed(access, state.cleared.permitted.decision, policies, target)
    refuse_over(exchange, streams=True)
    begin(gateway, flow, masker)
    _register(gateway, flow, exchange, state)
    return True


def _reader(
    access: AccessRequest, response: http.Response, exchange: Exchange
) -> Callable[[Gateway, http.HTTPFlow, Masker], None] | None:
    if not isinstance(access.resource, KubeObject) or is_passed_on(access):
        return None
    check = partial(check_bytes, exchange.guards)
    limit, shape = exchange.response_limit, kube_shapes.of(access)
    if is_log(access) and access.action.verb == "get":
        return lambda gateway, flow, masker: pump(gateway, flow, exchange, LogReader(masker, check))
    if access.action.verb == "watch":
        exchange.in_events = True
        return lambda gateway, flow, masker: pump(gateway, flow, exchange, WatchReader(masker, shape, check, limit))
    if access.action.verb == "list" and not _is_small(response):
        return lambda gateway, flow, masker: pump(gateway, flow, exchange, ListReader(masker, shape, check, limit))
    return None


def _is_small(response: http.Response) -> bool:
    announced = text(response.headers, b"content-length")
    return announced.isdecimal() and int(announced) <= SMALL


def _register(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, state: Forwarded) -> None:
    access, grant = asked_of(state), state.cleared.grant
    ends = [who.expires_at for who in (access.principal, *access.principal.legs) if who.expires_at]
    ends.append(stream_end(grant, state.cleared.permitted.decision.approvals))
    keep_live(gateway, exchange, access, grant, until=min(ends), end=partial(gateway.abort, flow, ended=True))


def mask_whole(
    masker: Masker,
    body: bytes,
    access: AccessRequest,
    content_type: str,
    echoes: Echoes,
    *,
    guards: tuple[GuardAnswer, ...] = (),
    correct: Callable[[JsonValue], JsonValue] | None = None,
) -> Masked[bytes]:
    """Mask an answer that was read whole. Raises Refusal where it cannot be inspected."""
    made, count = _mask(masker, body, access, content_type, correct)
    made, more = echoes.hide(made)
    check_bytes(guards, made)
    return Masked(made, count + more)


def _as_document(masker: Masker, body: bytes, content_type: str) -> tuple[bytes, int]:
    try:
        masked = masker.document(body, content_type)
    except Unmaskable as error:
        raise withheld(str(error)) from None
    return masked.value, masked.count


def _mask(
    masker: Masker,
    body: bytes,
    access: AccessRequest,
    content_type: str,
    correct: Callable[[JsonValue], JsonValue] | None,
) -> tuple[bytes, int]:
    form = content_type.partition(";")[0].strip().lower()
    if form.startswith(OPENAPI) and is_public(access):
        return body, 0
    if form != _JSON or is_passed_on(access):
        return _as_document(masker, body, content_type)
    if is_public(access) or (masker.is_empty and correct is None):
        return body, 0
    if correct is None and is_clean(masker, body, kube_shapes.of(access)):
        return body, 0
    try:
        value = loads(body)
    except NotJson as error:
        raise withheld(str(error)) from None
    shown = value if correct is None else correct(value)
    masked, count = whole(masker, shown, kube_shapes.of(access))
    return (dumps(masked), count) if count or shown is not value else (body, 0)
