"""Which target a request is for. Pure: settings and what the request says of itself in, a Route or a refusal out."""

import re
from dataclasses import dataclass

from holdpoint.domain.access import Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.settings import Listener, Settings, Target

_HOST = re.compile(r"[!$&'()*+,;=A-Za-z0-9._~%:-]+")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Route:
    """A target and the path the upstream will see."""

    target: Target
    path: str
    """With query, starting with `/`."""


def authority(host: str, port: int, scheme: str) -> str:
    """Return `host` or `host:port`, as a `Host` header for that scheme has it."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == default_port(scheme) else f"{shown}:{port}"


def default_port(scheme: str) -> int:
    """Return the port that a URL of that scheme need not name."""
    return 443 if scheme == "https" else 80


def split_authority(value: str, scheme: str) -> tuple[str, int] | None:
    """Split a `Host` header into lower-case host and port. None if it is none (RFC 9110 section 7.2)."""
    host, port_text = value, ""
    if value.startswith("["):
        end = value.find("]")
        if end < 0 or (value[end + 1 :] and value[end + 1] != ":"):
            return None
        host, port_text = value[1:end], value[end + 2 :]
        if value[end + 1 :] == ":":
            return None
    elif ":" in value:
        host, _, port_text = value.partition(":")
        if not port_text:
            return None
    if not _HOST.fullmatch(host):
        return None
    if not port_text:
        return host.lower().rstrip("."), default_port(scheme)
    if not _PORT.fullmatch(port_text) or int(port_text) >= 1 << 16:
        return None
    return host.lower().rstrip("."), int(port_text)


def by_reverse(settings: Settings, listener: Listener, *, host: str, path: str) -> Route:
    """Find the target of a request to a reverse listener, by host name first, then by route. Raises Refusal."""
    named = split_authority(host, "https" if listener.tls else "http")
    if named is None:
        raise Refusal(RefusalKind.BAD_REQUEST, "the `Host` header is missing or not valid")
    for target in settings.targets:
        if named[0] in target.hosts:
            return _route(target, path, target.path)
    for target in settings.targets:
        for route in target.routes:
            if (rest := _below(route, path)) is not None:
                return _route(target, target.path + rest, target.path)
    raise Refusal(RefusalKind.NOT_FOUND, "no target is served at this path")


def by_forward(settings: Settings, *, host: str, port: int, scheme: str, path: str) -> Route:
    """Find the target of a request through a forward listener, by host and port. Raises Refusal."""
    for target in settings.targets:
        if is_target_address(target, host, port) and target.scheme == scheme:
            return _route(target, path, target.path)
    raise Refusal(RefusalKind.NOT_FOUND, "no target is served at this host")


def connectable(settings: Settings, *, host: str, port: int) -> tuple[Target, ...]:
    """Return the targets that a CONNECT to this host and port may be for."""
    return tuple(t for t in settings.targets if is_target_address(t, host, port))


def is_target_address(target: Target, host: str, port: int) -> bool:
    """Tell whether host and port name this target: its own address, or one of its host names."""
    folded = host.lower().rstrip(".")
    return port == target.port and (folded == target.host or folded in target.hosts)


def _below(route: str, path: str) -> str | None:
    if path == route or path.startswith((route + "/", route + "?")):
        return path[len(route) :]
    return None


def _route(target: Target, path: str, base: str) -> Route:
    rest = _below(base, path) if base else path
    if rest is None:
        raise Refusal(RefusalKind.NOT_FOUND, "no target is served at this path")
    if target.protocol is Protocol.MCP and rest not in ("", "/"):
        # An MCP endpoint is one path; whatever else the server offers there is not MCP and not decoded.
        raise Refusal(RefusalKind.NOT_FOUND, "an MCP target is served at its endpoint only")
    full = base + rest
    return Route(target, full if full.startswith("/") else "/" + full)
