"""Reads `targets:`: the upstreams, and the roads to them."""

import re
from collections.abc import Sequence

from holdpoint.domain.access import Protocol
from holdpoint.located_yaml import Fields, Located
from holdpoint.settings import Issuer, Listener, PinMode, Pins, Target, TargetMode, Warn
from holdpoint.settings_file import schema
from holdpoint.settings_file.addresses import read_host, read_origin, read_url
from holdpoint.settings_file.credentials import MAIN, authority_beside, read_credentials
from holdpoint.settings_file.holds import read_hold
from holdpoint.settings_file.issuers import known_issuer
from holdpoint.settings_file.places import Places, printable, read_name, read_set, regular_file, seconds
from holdpoint.settings_file.roads import refuse_crossing

_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
"""`scope-token` of RFC 6749 section 3.3."""
_PREFIX = {Protocol.MCP: "mcp", Protocol.HTTP: "http", Protocol.KUBERNETES: "k8s"}
"""Of a target without `routes`."""
_SIZE_LOW, _SIZE_HIGH = 1 << 10, 256 << 20
_MASK = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")


def read_targets(
    value: Located, places: Places, issuers: Sequence[Issuer], listeners: Sequence[Listener]
) -> tuple[Target, ...]:
    """Read every target; none at all is an error. Raises ConfigError."""
    elements = value.elements()
    if not elements:
        raise value.error("no target: there would be nowhere to go")
    targets: list[Target] = []
    for element in elements:
        fields = schema.TARGET.read(element)
        target = _target(fields, places, issuers)
        if target.name in {known.name for known in targets}:
            raise fields["name"].error(f"target `{target.name}` stands here twice")
        refuse_crossing(fields, target, targets, listeners)
        targets.append(target)
    return tuple(targets)


def _target(fields: Fields, places: Places, issuers: Sequence[Issuer]) -> Target:
    name = read_name(fields["name"], "a target")
    protocol = _protocol(fields["protocol"])
    url = read_url(fields["url"], what=f"target `{name}`")
    routes, hosts = fields.get("routes"), fields.get("hosts")
    audiences, named, masks = fields.get("audiences"), fields.get("issuers"), fields.get("masks")
    mode, scopes, origins = fields.get("mode"), fields.get("scopes"), fields.get("origins")
    request, response, answer = _limits(fields.get("limits"))
    ca_file = fields.get("ca_file")
    if ca_file is not None and url.scheme == "http":
        raise ca_file.error("the upstream speaks plain HTTP: no certificate is checked, take `ca_file` out")
    credentials = read_credentials(fields["credential"], fields.get("credentials"), places)
    return Target(
        name=name,
        protocol=protocol,
        scheme=url.scheme,
        host=url.host,
        port=url.port,
        path=url.path,
        routes=tuple(_route(r) for r in routes.elements()) if routes else (f"/{_PREFIX[protocol]}/{name}",),
        hosts=read_set(hosts, "hosts", read_host) if hosts else (),
        audiences=frozenset(read_set(audiences, "audiences", printable)) if audiences else frozenset(),
        issuers=frozenset(read_set(named, "issuers", lambda v: known_issuer(v, issuers))) if named else frozenset(),
        scopes=frozenset(read_set(scopes, "scopes", _scope)) if scopes else frozenset(),
        origins=frozenset(read_set(origins, "origins", read_origin)) if origins else frozenset(),
        mode=TargetMode(mode.choice(*TargetMode)) if mode else TargetMode.ENFORCE,
        credentials=credentials,
        ca_file=places.authority(ca_file) if ca_file else authority_beside(credentials[MAIN], url),
        request_bytes=request,
        response_bytes=response,
        answer_wait=answer,
        record_bodies=_record(fields.get("record")),
        record_stdin=_record_stdin(fields.get("record"), protocol),
        hold=read_hold(fields.get("hold"), protocol),
        masks=read_set(masks, "mask profiles", _mask) if masks else (),
        lists_ttl=_lists(fields.get("lists"), protocol),
        pins=_pins(fields.get("pins"), protocol, places),
        warnings=_warnings(fields.get("warnings"), protocol),
    )


def _protocol(value: Located) -> Protocol:
    return Protocol(value.choice(*Protocol))


def _route(value: Located) -> str:
    text = value.text()
    segments = text.split("/")[1:]
    if text == "/":
        raise value.error("a route for everything would hide every other: write `hosts`, or a path of its own")
    if not text.startswith("/") or not all(_SEGMENT.fullmatch(s) for s in segments):
        raise value.error(
            "expected a path prefix such as `/mcp/name`: letters, digits, `-`, `_`, `~` and inner dots, no slash last"
        )
    return text


def _scope(value: Located) -> str:
    text = value.text()
    if not _SCOPE.fullmatch(text):
        raise value.error("a scope holds neither blanks nor quotes nor backslashes: write one in each element")
    if text == "offline_access":
        raise value.error("`offline_access` is between client and issuer: a resource does not ask for it, take it out")
    return text


def _mask(value: Located) -> str:
    if not _MASK.fullmatch(value.text()):
        raise value.error(f"`{value.text()}` is no name of a mask profile")
    return value.text()


def _limits(value: Located | None) -> tuple[int, int, float]:
    fields = schema.LIMITS.read(value) if value else None

    def size(key: str, default: int) -> int:
        found = fields.get(key) if fields else None
        if found is None:
            return default
        if not _SIZE_LOW <= (number := found.size()) <= _SIZE_HIGH:
            raise found.error("expected a size from 1KiB to 256MiB")
        return number

    answer = seconds(fields.get("answer") if fields else None, 60.0, low=1, high=3600)
    return size("request", 8 << 20), size("response", 32 << 20), answer


def _record(value: Located | None) -> bool:
    bodies = schema.RECORD.read(value).get("bodies") if value else None
    return bodies.boolean() if bodies else True


def _record_stdin(value: Located | None, protocol: Protocol) -> bool:
    stdin = schema.RECORD.read(value).get("stdin") if value else None
    if stdin is not None and protocol is not Protocol.KUBERNETES:
        raise stdin.error("only Kubernetes has commands to type into: take `stdin` out")
    return stdin is not None and stdin.choice("off", "sealed") == "sealed"


def _lists(value: Located | None, protocol: Protocol) -> float:
    if value is not None and protocol is not Protocol.MCP:
        raise value.error("only MCP servers give lists: take `lists` out")
    return seconds(schema.LISTS.read(value).get("ttl") if value else None, 0.0, low=0, high=86_400)


def _pins(value: Located | None, protocol: Protocol, places: Places) -> Pins:
    if protocol is not Protocol.MCP:
        if value is not None:
            raise value.error("only MCP servers have tools to pin: take `pins` out")
        return Pins(PinMode.OFF)
    if value is None:
        return Pins()
    fields = schema.PINS.read(value)
    mode, file = PinMode(fields["mode"].choice(*PinMode)), fields.get("file")
    if mode is not PinMode.FILE:
        if file is not None:
            raise file.error(f"mode `{mode.value}` reads no pin file: take `file` out, or write `mode: file`")
        return Pins(mode)
    if file is None:
        raise value.error("mode `file` needs the `file`: write one with `holdpoint pins export`")
    return Pins(mode, regular_file(file, places.path(file)))


def _warnings(value: Located | None, protocol: Protocol) -> frozenset[Warn]:
    if value is None:
        return frozenset({Warn.MASKED, Warn.APPROVED})
    if protocol is not Protocol.KUBERNETES:
        raise value.error("only clients of Kubernetes show warnings: take `warnings` out")
    return frozenset(Warn(w) for w in read_set(value, "warnings", lambda v: v.choice(*Warn)))
