"""What leaves for an upstream: with a pass, without what the caller says of itself, with a credential not its own."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass, field

from mitmproxy import http

from holdpoint.shallow import shallow

_NEVER = frozenset(
    (
        # The caller's own login.
        *(b"authorization", b"proxy-authorization", b"cookie", b"kubernetes-authorization"),
        # Who called, from where and for what, by the word of a proxy that upstreams trust.
        *(b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip"),
        *(b"cf-connecting-ip", b"fastly-client-ip", b"client-ip", b"remote-user", b"remote-addr", b"x-rewrite-url"),
        *(b"x-goog-iap-jwt-assertion", b"x-webauth-user", b"x-host"),
        # Half an answer is half a secret, which no detector finds.
        *(b"range", b"if-range"),
        # Of this connection only (RFC 9110 section 7.6.1). `Connection` itself goes when the request is dressed.
        *(b"te", b"keep-alive", b"proxy-connection", b"expect"),
    )
)
_NEVER_PREFIXES = (
    *(b"x-forwarded", b"x-original-", b"x-remote-", b"x-envoy-", b"x-auth-request-", b"x-authenticated-"),
    *(
        b"impersonate-",
        b"x-ssl-",
        b"ssl-client",
        b"x-client-cert",
        b"x-client-verify",
        b"x-amzn-oidc-",
        b"x-ms-client-",
    ),
    *(b"x-goog-authenticated-", b"cf-access-", b"x-pomerium-"),
)


def folded(name: bytes) -> bytes:
    """Return a header's name as CGI, WSGI and their like see it: case and underscores do not count."""
    return name.lower().replace(b"_", b"-")


def is_forwardable(name: bytes) -> bool:
    """Tell whether a header of the caller may go upstream.

    None with an underscore does: some servers read it as the name with a dash, which others took out or checked. A dot
    is read so by some, and stands in names that mean no harm.
    """
    lower = name.lower()
    if b"." in lower:
        dashed = lower.replace(b".", b"-")
        if dashed in _NEVER or dashed.startswith(_NEVER_PREFIXES):
            return False
    return b"_" not in lower and lower not in _NEVER and not lower.startswith(_NEVER_PREFIXES)


@dataclass(slots=True)
class Pass:
    """Permission for one flow's request to be sent once, with what is added on the wire."""

    address: tuple[str, int]
    """Host and port that the request may go to."""
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    """Set on the copy that is sent; they replace the caller's of the same name."""
    upgrade: bytes = b""
    """The protocol that the connection is asked to become, where this is what was decided."""
    sent: bool = False
    revoked: bool = False


def outgoing(fields: Sequence[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """Return those of the caller's headers that go upstream, for a body that is whole and of this length."""
    kept = [(n, v) for n, v in fields if is_forwardable(n) and n.lower() != b"transfer-encoding"]
    if length and not any(n.lower() == b"content-length" for n, _ in kept):
        kept.append((b"content-length", b"%d" % length))
    return kept


def dressed(request: http.Request, permission: Pass) -> http.Request:
    """Return a copy as it goes on the wire: without the caller's credentials, with the upstream's own."""
    sent = shallow(request)
    sent.data = shallow(request.data)
    ours = {folded(name) for name, _ in permission.headers} | {b"connection", b"upgrade"}
    kept = outgoing(request.headers.fields, len(request.raw_content or b""))
    asks = ((b"Connection", b"Upgrade"), (b"Upgrade", permission.upgrade)) if permission.upgrade else ()
    fields = (*((n, v) for n, v in kept if folded(n) not in ours), *asks, *permission.headers)
    sent.data.headers = http.Headers(fields)
    return sent
