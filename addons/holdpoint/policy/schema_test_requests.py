"""Read the requests of policy tests."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from holdpoint.domain.access import (
    AccessRequest,
    Action,
    Actor,
    HttpPath,
    McpMethod,
    McpPrompt,
    McpResource,
    McpServerRequest,
    McpTool,
    PinState,
    Principal,
    Protocol,
    Resource,
)
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy.schema_test_kubernetes import KEYS, read_identities, read_resource
from holdpoint.policy.verbs import BATCH, IMPERSONATE, MCP_NAMED, RESPONSE

_WHERE = {
    Protocol.MCP: frozenset({"tool", "pin", "prompt", "uri", "server_request", "args", "protocol_version", "members"}),
    Protocol.HTTP: frozenset({"host", "path", "args", "object"}),
    Protocol.KUBERNETES: KEYS | {"object", "args"},
}
_MEMBER = frozenset({"verb", "tool", "pin", "prompt", "uri", "args"})
_IMPLIED = {"tool": "tools/call", "prompt": "prompts/get", "uri": "resources/read", "server_request": ""}
_REQUEST = frozenset({"principal", "verb", "time", "unverified", "scopes"})
_PRINCIPAL = frozenset(
    {
        "subject",
        "issuer",
        "kind",
        "person",
        "groups",
        "actor",
        "owners",
        "client_id",
        "scopes",
        "claims",
        "call",
        "legs",
    }
)
_PINS = tuple(sorted(p.value for p in PinState if p.value))
DEFAULT_TIME = 1_800_000_000.0
"""2027-01-15T08:00:00Z, a Friday: the time of requests that name none."""


def read_request(node: Located, known: Mapping[str, Principal], targets: Mapping[str, Protocol]) -> AccessRequest:
    """Read one request; `known` are principals by name. Raises ConfigError."""
    target = next((value for name, _, value in node.items() if name == "target"), None)
    if target is None:
        raise node.error("key `target` is missing")
    if target.text() not in targets:
        raise target.error(f"unknown target `{target.text()}`")
    protocol = targets[target.text()]
    fields = node.fields(required=frozenset({"target", "principal"}), optional=_REQUEST | _WHERE[protocol])
    who = fields["principal"]
    if who.is_mapping:
        principal = read_principal(who)
    elif who.text() in known:
        principal = known[who.text()]
    else:
        raise who.error(f"unknown principal `{who.text()}`; list it under `principals`")
    scopes = fields.get("scopes")
    if scopes:
        principal = replace(principal, scopes=frozenset(scopes.texts()))
    verb, resource = _action(node, fields, protocol)
    if "args" in fields.values and "object" in fields.values:
        raise fields["args"].error("`args` and `object` are two names for one thing; write one of them")
    request = AccessRequest(
        principal,
        target.text(),
        Action(protocol, verb),
        resource,
        _arguments(fields),
        _unverified(fields),
        _time(fields.get("time")),
    )
    members, identities = fields.get("members"), fields.get("impersonates")
    if identities:
        action = Action(protocol, IMPERSONATE)
        found = (replace(request, action=action, resource=r, arguments={}) for r in read_identities(identities))
        return replace(request, members=tuple(found))
    return replace(request, members=_members(members, request)) if members else request


def _members(node: Located, request: AccessRequest) -> tuple[AccessRequest, ...]:
    found: list[AccessRequest] = []
    for element in node.elements():
        fields = element.fields(optional=_MEMBER)
        verb, resource = _action(element, fields, Protocol.MCP)
        action = Action(Protocol.MCP, verb)
        found.append(replace(request, action=action, resource=resource, arguments=_arguments(fields)))
    if not found:
        raise node.error("no members: leave the key out, or write the messages")
    return tuple(found)


def _arguments(fields: Fields) -> JsonObject:
    node = fields.get("args") or fields.get("object")
    return _object(node) if node else {}


def _unverified(fields: Fields) -> dict[str, str]:
    node, version = fields.get("unverified"), fields.get("protocol_version")
    found = {name: value.text() for name, _, value in node.items()} if node else {}
    if version and found.setdefault("protocol_version", version.text()) != version.text():
        raise version.error("`unverified` names another version")
    return found


def _action(node: Located, fields: Fields, protocol: Protocol) -> tuple[str, Resource]:
    def text(key: str) -> str:
        found = fields.get(key)
        return found.text() if found else ""

    verb = text("verb")
    resource: Resource
    match protocol:
        case Protocol.MCP:
            named = sorted(fields.values.keys() & _IMPLIED.keys())
            if len(named) > 1:
                raise node.error(f"a request is about one thing, not `{named[0]}` and `{named[1]}`")
            if verb in MCP_NAMED and [MCP_NAMED[verb]] != [f"{n}s" for n in named]:
                raise node.error(f"`{verb}` needs `{MCP_NAMED[verb].removesuffix('s')}` and nothing else")
            resource = _kinds(_pin(fields))[named[0]](text(named[0])) if named else McpMethod()
            verb = verb or (
                _IMPLIED[named[0]] or text(named[0]) if named else BATCH if "members" in fields.values else ""
            )
            if isinstance(resource, McpServerRequest) and verb not in (resource.method, RESPONSE):
                raise node.error(f"a server's request goes by its method, or by `{RESPONSE}` for the client's answer")
        case Protocol.HTTP:
            resource = HttpPath(text("host"), text("path"))
        case Protocol.KUBERNETES:
            resource = read_resource(node, fields)
    if not verb:
        raise node.error("key `verb` is missing")
    return verb, resource


def _kinds(pin: PinState) -> dict[str, Callable[[str], Resource]]:
    return {
        "tool": lambda name: McpTool(name, pin),
        "prompt": McpPrompt,
        "uri": McpResource,
        "server_request": McpServerRequest,
    }


def _pin(fields: Fields) -> PinState:
    node = fields.get("pin")
    if node is None:
        return PinState.NONE
    if "tool" not in fields.values:
        raise node.error("only a `tool` has a `pin`")
    return PinState(node.choice(*_PINS))


def read_principal(node: Located) -> Principal:
    """Read a caller. Raises ConfigError."""
    fields = node.fields(required=frozenset({"subject"}), optional=_PRINCIPAL)

    def text(key: str, default: str) -> str:
        found = fields.get(key)
        return found.text() if found else default

    def texts(key: str) -> frozenset[str]:
        found = fields.get(key)
        return frozenset(found.texts()) if found else frozenset()

    kind = fields["kind"].choice("human", "workload") if "kind" in fields.values else "human"
    actor, claims, legs = text("actor", ""), fields.get("claims"), fields.get("legs")
    return Principal(
        issuer=text("issuer", "https://issuer.example.com"),
        subject=text("subject", ""),
        kind="workload" if kind == "workload" else "human",
        person=text("person", "") or None,
        groups=texts("groups"),
        actor=Actor(actor) if actor else None,
        owners=texts("owners"),
        client_id=text("client_id", ""),
        scopes=texts("scopes"),
        claims=_object(claims) if claims else {},
        call=text("call", ""),
        legs=tuple(read_principal(leg) for leg in legs.elements()) if legs else (),
    )


def _object(node: Located) -> JsonObject:
    if not node.is_mapping:
        raise node.error("expected a mapping")
    return as_object(node.json())


def _time(node: Located | None) -> float:
    if node is None:
        return DEFAULT_TIME
    try:
        time = datetime.fromisoformat(node.text())
    except ValueError:
        raise node.error('expected a time in quotes, as `"2027-01-15T08:00:00Z"`') from None
    if time.tzinfo is None:
        raise node.error("a time needs its zone: end it with `Z`")
    return time.timestamp()
