"""Requests that ask for another protocol on the same connection: three of Kubernetes, which are decoded, and no other.

`pods/exec`, `pods/attach` and `pods/portforward`, over a WebSocket (RFC 6455) or SPDY/3.1, are asked for by
`Connection: Upgrade` on HTTP/1.1 (RFC 9110 section 7.8). What a caller asks for is written anew before anything else
sees it, so that what is offered upstream is what was checked here; what the upstream switches to must be among that.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from mitmproxy import http

from holdpoint.domain.access import KubeObject, Protocol
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.passes import folded
from holdpoint.protocols.kubernetes import tunnels
from holdpoint.settings import Target
from holdpoint.stages.fields import raw, values

WEBSOCKET: Final = "websocket"
SPDY: Final = "SPDY/3.1"
SWITCHING: Final = 101

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_NONCE_BYTES: Final = 16  # section 4.1
_FAILURES: Final = 300
_LOST: Final = (502, 504)
_MANY: Final = 16
"""Protocols that one request may offer."""
_PATH = re.compile(r"/api/v1/namespaces/[a-z0-9.-]+/pods/[a-z0-9.-]+/(exec|attach|portforward)")
_VERBS: Final = {"exec": ("exec", "cp"), "attach": ("attach",), "portforward": ("portforward",)}
_OFFERED: Final = {WEBSOCKET: b"sec-websocket-protocol", SPDY: b"x-stream-protocol-version"}
_KNOWN: Final = {
    (WEBSOCKET, False): tunnels.WEBSOCKET_EXEC,
    (WEBSOCKET, True): tunnels.WEBSOCKET_FORWARD,
    (SPDY, False): tunnels.SPDY_EXEC,
    (SPDY, True): tunnels.SPDY_FORWARD,
}


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a request asks its connection to become."""

    to: str
    """`websocket` or `SPDY/3.1`."""
    offered: tuple[str, ...]
    """What may be spoken over it, as the caller would like it best."""
    subresource: str
    accept: bytes = b""
    """The `Sec-WebSocket-Accept` that answers this very request."""


@dataclass(frozen=True, slots=True)
class Switched:
    """What a connection became."""

    upgrade: Upgrade
    chosen: str
    """One of those that were offered."""


def is_asked(request: http.Request) -> bool:
    """Tell whether a head asks for an upgrade, in whatever spelling and however unclear."""
    for name, value in raw(request.headers):
        lower = folded(name)
        if lower == b"upgrade" or (lower == b"connection" and b"upgrade" in value.lower()):
            return True
    return False


def take(flow: http.HTTPFlow, target: Target, path: str) -> Upgrade:
    """Check a request that asks for an upgrade, and write its head as it is meant. Raises Refusal.

    `path` is what the upstream will see.
    """
    request = flow.request
    found = _PATH.fullmatch(path.partition("?")[0]) if target.protocol is Protocol.KUBERNETES else None
    if found is None:
        raise _refused("protocol upgrades are not served")
    if request.is_http2 or flow.client_conn.alpn == b"h2" or request.http_version != "HTTP/1.1":
        raise _refused("protocol upgrades need HTTP/1.1")
    _check_no_body(request)
    to = _asked_for(request)
    offered = _offered(request, to, is_forward=found[1] == "portforward")
    upgrade = Upgrade(to, offered, found[1], _accept(request) if to == WEBSOCKET else b"")
    request.headers = http.Headers(_rewritten(request, upgrade))
    return upgrade


def check_decided(upgrade: Upgrade | None, asked: Decoded) -> None:
    """Raise GatewayFault where what was decided is not what the connection is about to be used for."""
    if upgrade is None:
        return
    access = asked.access
    what = access.resource
    is_same = (
        isinstance(what, KubeObject)
        and (what.group, what.resource, what.subresource) == ("", "pods", upgrade.subresource)
        and access.action.verb in _VERBS[upgrade.subresource]
    )
    if not is_same:
        raise GatewayFault("an upgrade was decided as something else")


def switched(upgrade: Upgrade, response: http.Response) -> Switched:
    """Return what the upstream switched to, and leave of its head what says so. Raises Refusal."""
    headers = response.headers
    given = {folded(name) for name, _ in raw(headers)}
    connection = _tokens(values(headers, b"connection"))
    chosen = values(headers, _OFFERED[upgrade.to])
    is_right = (
        response.status_code == SWITCHING
        and response.http_version == "HTTP/1.1"
        and [v.strip().lower() for v in values(headers, b"upgrade")] == [upgrade.to.lower().encode()]
        and {"upgrade"} <= set(connection) <= {"upgrade", "keep-alive"}
        and len(chosen) == 1
        and chosen[0].strip().decode("latin-1") in upgrade.offered
        and given.isdisjoint({b"transfer-encoding", b"sec-websocket-extensions"})
        and all(value.strip() == b"0" for value in values(headers, b"content-length"))
        and values(headers, b"sec-websocket-accept") == ([upgrade.accept] if upgrade.accept else [])
    )
    if not is_right:
        raise Refusal(RefusalKind.WITHHELD, "the upstream switched to a protocol that was not asked for")
    fields = [(b"Upgrade", upgrade.to.encode()), (b"Connection", b"Upgrade")]
    if upgrade.accept:
        fields.append((b"Sec-WebSocket-Accept", upgrade.accept))
    name = b"Sec-WebSocket-Protocol" if upgrade.to == WEBSOCKET else b"X-Stream-Protocol-Version"
    fields.append((name, chosen[0].strip()))
    response.reason = "Switching Protocols"
    response.headers = http.Headers(fields)
    return Switched(upgrade, chosen[0].strip().decode("ascii"))


def is_declined(response: http.Response) -> bool:
    """Tell whether an upstream answers that it does not switch: then nothing was done, and it may be asked again.

    Not where a proxy in between lost the answer (502, 504), and not where all seems well: those are no refusals.
    """
    return response.status_code >= _FAILURES and response.status_code not in _LOST


def _check_no_body(request: http.Request) -> None:
    # Bytes behind the head would be a body for one reader, and the first of the other protocol for another.
    lengths = values(request.headers, b"content-length")
    if lengths not in ([], [b"0"]) or values(request.headers, b"transfer-encoding"):
        raise _refused("a request that asks for an upgrade has no body")
    if values(request.headers, b"expect"):
        raise _refused("`Expect` does not go with an upgrade")


def _asked_for(request: http.Request) -> str:
    connections, upgrades = values(request.headers, b"connection"), values(request.headers, b"upgrade")
    tokens = _tokens(connections)
    if len(connections) != 1 or tokens.count("upgrade") != 1 or not {"upgrade", "keep-alive"} >= set(tokens):
        raise _refused("an upgrade is asked for by `Connection: Upgrade`, once")
    if len(upgrades) != 1:
        raise _refused("an upgrade is asked for by one `Upgrade` header")
    named = {WEBSOCKET: WEBSOCKET, SPDY.lower(): SPDY}.get(upgrades[0].strip().lower().decode("latin-1"))
    if named is None:
        raise _refused("upgrades to `websocket` and to `SPDY/3.1` are served, and to nothing else")
    methods = ("GET",) if named == WEBSOCKET else ("GET", "POST")
    if request.data.method.decode("latin-1") not in methods:
        raise _refused(f"an upgrade to `{named}` is asked for by {' or '.join(methods)}")
    is_mixed = any(folded(name).startswith(b"sec-websocket-") for name, _ in raw(request.headers))
    if named == SPDY and is_mixed:
        raise _refused("a request asks for one protocol, and not for two")
    return named


def _offered(request: http.Request, to: str, *, is_forward: bool) -> tuple[str, ...]:
    """Return what is offered of what the gateway can decode.

    What it does not know is taken out: among it is the token that a browser hides in a subprotocol
    (`base64url.bearer.authorization.k8s.io.…`).
    """
    known = _KNOWN[to, is_forward]
    given = [v.strip().decode("latin-1") for line in values(request.headers, _OFFERED[to]) for v in line.split(b",")]
    if len(given) > _MANY:
        raise _refused("too many protocols are offered")
    offered = tuple(dict.fromkeys(one for one in given if one in known))
    if not offered:
        name = "Sec-WebSocket-Protocol" if to == WEBSOCKET else "X-Stream-Protocol-Version"
        raise _refused(f"`{name}` must offer {' or '.join(f'`{one}`' for one in known)}")
    return offered


def _accept(request: http.Request) -> bytes:
    """Return what the upstream must answer to the key (RFC 6455 section 4.2.2)."""
    if values(request.headers, b"sec-websocket-version") != [b"13"]:
        raise _refused("version 13 of WebSocket is served, and no other")
    keys = values(request.headers, b"sec-websocket-key")
    try:
        nonces = [base64.b64decode(key, validate=True) for key in keys]
    except binascii.Error:
        nonces = []
    if [len(nonce) for nonce in nonces] != [_NONCE_BYTES] or base64.b64encode(nonces[0]) != keys[0]:
        raise _refused("`Sec-WebSocket-Key` must be 16 bytes in base64, once")
    return base64.b64encode(hashlib.sha1(keys[0] + _GUID).digest())  # noqa: S324  # what RFC 6455 asks for, no secret


def _rewritten(request: http.Request, upgrade: Upgrade) -> list[tuple[bytes, bytes]]:
    keys = values(request.headers, b"sec-websocket-key")
    fields = [(n, v) for n, v in raw(request.headers) if not _is_of_upgrades(folded(n))]
    fields += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade.to.encode())]
    if upgrade.to == WEBSOCKET:
        fields += [(b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", keys[0])]
        # One line: some servers read the first alone.
        fields.append((b"Sec-WebSocket-Protocol", ", ".join(upgrade.offered).encode()))
    else:
        # One line each: API servers before 1.31 do not split them.
        fields += [(b"X-Stream-Protocol-Version", one.encode()) for one in upgrade.offered]
    return fields


def _is_of_upgrades(name: bytes) -> bool:
    names = (b"connection", b"upgrade", b"http2-settings", b"keep-alive", b"x-stream-protocol-version")
    return name in names or name.startswith(b"sec-websocket-")


def _tokens(lines: list[bytes]) -> list[str]:
    return [token.strip().lower() for token in b",".join(lines).decode("latin-1").split(",")]


def _refused(why: str) -> Refusal:
    return Refusal(RefusalKind.BAD_REQUEST, why)
