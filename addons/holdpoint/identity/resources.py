"""Which resource a login asks for (RFC 8707): a token should open one target, and no other. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from holdpoint.settings import Issuer, Listener, Settings, Target


def resource_for(settings: Settings, target: Target, issuer: Issuer) -> str:
    """Return the audience to ask for, one that the target accepts; empty where it accepts none.

    Of the target's own audiences, or else the issuer's, the one that is the target's URI; else one that is the URI of
    no other target.
    """
    listed = target.audiences or issuer.audiences
    own = tuple(uris(settings, target))
    if named := next((uri for uri in own if uri in listed), ""):
        return named
    others = {uri for each in settings.targets if each is not target for uri in uris(settings, each)}
    if target.audiences or (listed and listed - others):
        return min(target.audiences or listed - others)
    # What is listed is others': the target's own URI is accepted without being listed.
    return own[0] if listed and own else min(listed, default="")


def uris(settings: Settings, target: Target) -> Iterator[str]:
    """Yield what the target is called on each road that leads to it, reverse listeners with TLS first."""
    for listener in sorted(settings.listeners, key=lambda each: (each.mode != "reverse", each.tls is None)):
        yield from _uris_at(listener, target)


def _uris_at(listener: Listener, target: Target) -> Iterator[str]:
    if listener.mode != "reverse":
        yield f"{_origin(target.scheme, target.host, target.port)}{target.path}"
        return
    url = urlsplit(listener.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    for route in target.routes:
        yield f"{_origin(url.scheme, url.hostname or '', port)}{route}"
    for host in target.hosts:
        yield f"{_origin(url.scheme, host, port)}{target.path}"


def _origin(scheme: str, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port == (443 if scheme == "https" else 80) else f"{scheme}://{shown}:{port}"
