"""The upstream's credential, should the upstream show it back: it went on the wire, and there it stays."""

import json

from mitmproxy import http

from holdpoint.stages.gateway import Gateway

SHOWN = b"[masked]"
_SHORTEST = 8
"""Bytes. What is shorter stands in answers by chance."""


def wire_secrets(gateway: Gateway, flow: http.HTTPFlow) -> tuple[bytes, ...]:
    """Return what was added to this flow's request on the wire: each value, as it is and as JSON writes it."""
    permission = gateway.wire.permission(flow)
    found: set[bytes] = set()
    for _, value in permission.headers if permission is not None else ():
        # Without the scheme: `Bearer `, `Basic `.
        secret = value.rpartition(b" ")[2]
        if len(secret) >= _SHORTEST:
            quoted = json.dumps(secret.decode("latin-1"))[1:-1]
            found |= {secret, quoted.encode(), quoted.replace("/", "\\/").encode()}
    return tuple(sorted(found, key=len, reverse=True))


def hide(data: bytes, secrets: tuple[bytes, ...]) -> tuple[bytes, int]:
    """Return the data without the secrets, and how many stood there. Without any, the very same bytes."""
    total = 0
    for secret in secrets:
        if count := data.count(secret):
            data = data.replace(secret, SHOWN)
            total += count
    return data, total
