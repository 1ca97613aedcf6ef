"""Which target a request is for. Pure: settings and what the request says of itself in, a Route or a refusal out."""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from holdpoint.domain.access import Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.metadata import WELL_KNOWN, Resource
from holdpoint.settings import Listener, Settings, Target

_HOST = re.compile(r"[!$&'()*+,;=A-Za-z0-9._~%:-]+")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Route:
    """A target and the path the upstream will see."""

    target: Target
    path: str
    """With query, starting with `/`."""
    resource: Resource
    """The target as it is called on this road."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a `Host` header names on a reverse listener: the listener itself, or a target by a host of its own."""

    origin: str
    """Scheme, host and port as clients use them."""
    other_origin: str = ""
    """The listener's own, where another loopback name of it was used."""
    target: Target | None = None


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


def entrance(settings: Settings, listener: Listener, host: str) -> Entrance:
    """Find what a `Host` header names on a reverse listener. Raises Refusal.

    A name that is neither the listener's nor a target's leads here by somebody else's DNS: a page of that name would
    be of the same origin as the gateway (DNS rebinding).
    """
    own_scheme, own_host, own_port = _own(listener)
    named = split_authority(host, own_scheme)
    if named is None:
        raise Refusal(RefusalKind.BAD_REQUEST, "the `Host` header is missing or not valid")
    for target in settings.targets:
        if named[0] in target.hosts:
            return Entrance(f"{own_scheme}://{authority(named[0], own_port, own_scheme)}", target=target)
    own = f"{own_scheme}://{authority(own_host, own_port, own_scheme)}"
    if named == (own_host, own_port):
        return Entrance(own)
    scheme = "https" if listener.tls else "http"
    # Without a port it may have been read for the scheme of the URL, which a proxy before the listener speaks.
    named = split_authority(host, scheme)
    is_local = named is not None and named[1] == listener.address.port and is_loopback(named[0])
    if named is not None and is_local and is_loopback(listener.address.host):
        return Entrance(f"{scheme}://{authority(*named, scheme)}", other_origin=own)
    raise Refusal(RefusalKind.DENIED, "the `Host` header names another server", detail="neither listener nor target")


def by_reverse(settings: Settings, listener: Listener, *, host: str, path: str) -> Route:
    """Find the target of a request to a reverse listener, by host name first, then by route. Raises Refusal."""
    at = entrance(settings, listener, host)
    if at.target is not None:
        return _route(at.target, path, at.target.path, _resource(at, at.target.path))
    for target in settings.targets:
        for route in target.routes:
            if (rest := _below(route, path)) is not None:
                return _route(target, target.path + rest, target.path, _resource(at, route))
    raise _nowhere()


def by_forward(settings: Settings, *, host: str, port: int, scheme: str, path: str) -> Route:
    """Find the target of a request through a forward listener, by host and port. Raises Refusal."""
    target, resource = forward_target(settings, host=host, port=port, scheme=scheme)
    return _route(target, path, target.path, resource)


def forward_target(settings: Settings, *, host: str, port: int, scheme: str) -> tuple[Target, Resource]:
    """Find the target at a host and port of its own, and what it is called there. Raises Refusal."""
    for target in settings.targets:
        if is_target_address(target, host, port) and target.scheme == scheme:
            named = authority(host.lower().rstrip("."), port, scheme)
            return target, Resource(f"{scheme}://{named}", target.path)
    raise Refusal(RefusalKind.NOT_FOUND, "no target is served at this host")


def metadata_by_reverse(settings: Settings, listener: Listener, *, host: str, path: str) -> tuple[Target, Resource]:
    """Find whose metadata a path of a reverse listener is. Raises Refusal."""
    at = entrance(settings, listener, host)
    if at.target is not None:
        resource = _resource(at, at.target.path)
        check_metadata_path(resource, path)
        return at.target, resource
    for target in settings.targets:
        for route in target.routes:
            if path in (WELL_KNOWN + route, f"{WELL_KNOWN}{route}/"):
                return target, _resource(at, route)
    raise _nowhere()


def check_metadata_path(resource: Resource, path: str) -> None:
    """Refuse a path that is not that of a resource's metadata, where the resource has a host to itself.

    The metadata is at the root too, which is where clients look last (MCP, "Authorization Server Discovery").
    Raises Refusal.
    """
    if path not in (WELL_KNOWN, f"{WELL_KNOWN}/", WELL_KNOWN + resource.path, f"{WELL_KNOWN}{resource.path}/"):
        raise _nowhere()


def speaks_kubernetes(settings: Settings, *, host: str, path: str) -> bool:
    """Tell whether a request whose target was not found yet looks like one to the Kubernetes API. Decides nothing."""
    named = (split_authority(host, "https") or ("", 0))[0]
    return any(
        named in (*target.hosts, target.host) or any(_below(route, path) is not None for route in target.routes)
        for target in settings.targets
        if target.protocol is Protocol.KUBERNETES
    )


def connectable(settings: Settings, *, host: str, port: int) -> tuple[Target, ...]:
    """Return the targets that a CONNECT to this host and port may be for."""
    return tuple(t for t in settings.targets if is_target_address(t, host, port))


def is_target_address(target: Target, host: str, port: int) -> bool:
    """Tell whether host and port name this target: its own address, or one of its host names."""
    folded = host.lower().rstrip(".")
    return port == target.port and (folded == target.host or folded in target.hosts)


def is_loopback(host: str) -> bool:
    """Tell whether a host, in its usual spelling, never leaves this machine."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # One spelling, no IPv4 in disguise, no zone: it becomes part of the resource's URI.
    if isinstance(address, ipaddress.IPv6Address):
        return host == "::1"
    return address.is_loopback and str(address) == host


def _own(listener: Listener) -> tuple[str, str, int]:
    """Return scheme, host and port that clients of a listener use."""
    if not listener.url:
        return "https" if listener.tls else "http", listener.address.host, listener.address.port
    return _split_url(listener.url)


@lru_cache(maxsize=64)
def _split_url(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or default_port(parts.scheme)


def _resource(at: Entrance, path: str) -> Resource:
    return Resource(at.origin, path, at.other_origin)


def _nowhere() -> Refusal:
    return Refusal(RefusalKind.NOT_FOUND, "no target is served at this path")


def _below(route: str, path: str) -> str | None:
    if path == route or path.startswith((route + "/", route + "?")):
        return path[len(route) :]
    return None


def _route(target: Target, path: str, base: str, resource: Resource) -> Route:
    rest = _below(base, path) if base else path
    if rest is None:
        raise _nowhere()
    if target.protocol is Protocol.MCP and rest not in ("", "/"):
        # An MCP endpoint is one path; whatever else the server offers there is not MCP and not decoded.
        raise Refusal(RefusalKind.NOT_FOUND, "an MCP target is served at its endpoint only")
    full = base + rest
    return Route(target, full if full.startswith("/") else "/" + full, resource)
