"""What every request must bear and every answer carries, whatever the page."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DIRECTIVES = (
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    # Forms are answered by own pages alone: the way to the issuer is a link, and so needs no exception here.
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", "; ".join(DIRECTIVES).encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"x-robots-tag", b"noindex, nofollow"),
)
TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


@dataclass(frozen=True, slots=True)
class Shield:
    """The outermost layer: Host must be our own name, and every answer has the headers."""

    app: ASGIApp
    host: bytes
    """Host and port as reviewers' browsers send them, lower case."""
    https: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 421 (RFC 9110 section 15.5.20)."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        protected = _with_headers(send, https=self.https)
        hosts = [value.lower() for name, value in scope["headers"] if name == b"host"]
        if hosts != [self.host]:
            # Another name for this address is how a foreign page would reach it (DNS rebinding).
            scheme = b"https" if self.https else b"http"
            await _plain(protected, 421, b"this address is not served here: open %s://%s\n" % (scheme, self.host))
            return
        await self.app(scope, receive, protected)


def _with_headers(send: Send, *, https: bool) -> Send:
    ours = (*HEADERS, TRANSPORT) if https else HEADERS
    names = {name for name, _ in ours}

    async def protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in names]
            message = {**message, "headers": [*kept, *ours]}
        await send(message)

    return protected


async def _plain(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
