"""Sees to it that every request that comes in belongs to one target at most, and that no target leads back to us."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from holdpoint.located_yaml import Fields
from holdpoint.settings import Address, Listener, Target
from holdpoint.settings_file.addresses import is_loopback, is_wildcard


def refuse_crossing(fields: Fields, target: Target, others: Sequence[Target], listeners: Sequence[Listener]) -> None:
    """Refuse routes, hosts or an upstream that another target has, or a listener of ours. Raises ConfigError."""
    _refuse_routes(fields, target, others)
    _refuse_hosts(fields, target, others, listeners)
    _refuse_upstream(fields, target, others, listeners)


def _refuse_routes(fields: Fields, target: Target, others: Sequence[Target]) -> None:
    value = fields.get("routes")
    places = value.elements() if value else [fields["name"]]
    taken = [(route, f"target `{other.name}`") for other in others for route in other.routes]
    for route, place in zip(target.routes, places, strict=False):
        for known, owner in taken:
            if f"{route}/".startswith(f"{known}/") or f"{known}/".startswith(f"{route}/"):
                raise place.error(f"route `{route}` overlaps `{known}` of {owner}")
        taken.append((route, "the same target"))


def _refuse_hosts(fields: Fields, target: Target, others: Sequence[Target], listeners: Sequence[Listener]) -> None:
    value = fields.get("hosts")
    has_forward = any(listener.mode == "forward" for listener in listeners)
    if value is None:
        if not target.routes and not has_forward:
            raise fields["name"].error(f"no road leads to target `{target.name}`: give it `routes` or `hosts`")
        return
    own = {urlsplit(listener.url).hostname: listener.name for listener in listeners}
    for host, place in zip(target.hosts, value.elements(), strict=True):
        for other in others:
            if host in other.hosts:
                raise place.error(f"host `{host}` belongs to target `{other.name}`")
            if has_forward and host == other.host and target.port == other.port:
                raise place.error(f"host `{host}` is the upstream of target `{other.name}`")
        if host in own:
            raise place.error(f"host `{host}` is that of listener `{own[host]}`: its routes could not be reached")


def _refuse_upstream(fields: Fields, target: Target, others: Sequence[Target], listeners: Sequence[Listener]) -> None:
    place = fields["url"]
    for listener in listeners:
        if leads_to(target, listener.address) or leads_to_url(target, listener.url):
            raise place.error(f"target `{target.name}` leads back to listener `{listener.name}`")
    if any(listener.mode == "forward" for listener in listeners):
        for other in others:
            if target.port == other.port and (target.host == other.host or target.host in other.hosts):
                raise place.error(
                    f"target `{other.name}` has the same upstream `{target.host}:{target.port}`: a forward listener "
                    "could not tell them apart"
                )
    for other in others:
        if (target.scheme, target.host, target.port) != (other.scheme, other.host, other.port):
            continue
        if target.ca_file != other.ca_file:
            # Connections are kept by address: one that was checked by the one authority would serve the other too.
            raise (fields.get("ca_file") or place).error(
                f"target `{other.name}` has the same upstream and another `ca_file`: give both the same"
            )


def leads_to(target: Target, address: Address) -> bool:
    """Tell whether a target's upstream is this address of ours."""
    if target.port != address.port:
        return False
    local = is_loopback(target.host)
    return target.host == address.host or (local and (is_loopback(address.host) or is_wildcard(address.host)))


def leads_to_url(target: Target, url: str) -> bool:
    """Tell whether a target's upstream has the host and port of this URL of ours."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (target.host, target.port) == (parts.hostname, port)
