"""Read `kind: PolicyTest` documents: requests and what a bundle should say to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from holdpoint.domain.access import (
    AccessRequest,
    Action,
    Actor,
    HttpPath,
    KubeObject,
    KubePath,
    McpMethod,
    McpPrompt,
    McpResource,
    McpTool,
    Principal,
    Protocol,
    Resource,
)
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy.schema import API_VERSION
from holdpoint.policy.verbs import MCP_NAMED

_TOP = frozenset({"apiVersion", "kind", "cases"})
_WHERE = {
    Protocol.MCP: frozenset({"tool", "prompt", "uri", "args"}),
    Protocol.HTTP: frozenset({"host", "path", "args", "object"}),
    Protocol.KUBERNETES: frozenset(
        {"group", "version", "resource", "subresource", "namespace", "name", "path", "object", "args"}
    ),
}
_IMPLIED = {"tool": "tools/call", "prompt": "prompts/get", "uri": "resources/read"}
_REQUEST = frozenset({"principal", "verb", "time", "unverified"})
_PRINCIPAL = frozenset(
    {"subject", "issuer", "kind", "person", "groups", "actor", "owners", "client_id", "scopes", "claims"}
)
_EXPECT = frozenset({"rules", "masks", "approval", "shadow", "message", "errors"})
_TERM = frozenset({"rule", "reviewers", "required", "timeout", "scope", "for", "auto_approve_after"})
DEFAULT_TIME = 1_800_000_000.0
"""2027-01-15T08:00:00Z, a Friday: the time of requests that name none."""


@dataclass(frozen=True, slots=True)
class ExpectedTerm:
    """What one set of approval terms should be. None: not asked."""

    rule: str | None = None
    reviewers: frozenset[str] | None = None
    required: int | None = None
    timeout: float | None = None
    scope: str | None = None
    duration: float | None = None
    auto_approve_after: float | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a decision should be. None: not asked."""

    effect: Literal["allow", "hold", "deny"]
    rules: frozenset[str] | None = None
    masks: frozenset[str] | None = None
    approval: tuple[ExpectedTerm, ...] | None = None
    shadow: frozenset[str] | None = None
    message: str | None = None
    errors: bool = False
    """Whether a condition is meant to fail."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request and the answer it should get."""

    name: str
    request: AccessRequest
    expected: Expected
    where: str


def read_cases(document: Located, targets: Mapping[str, Protocol]) -> list[Case]:
    """Return the cases of a document. Raises ConfigError, for no cases too: a test that tests nothing has failed."""
    fields = document.fields(required=_TOP, optional=frozenset({"metadata", "principals"}))
    fields["apiVersion"].choice(API_VERSION)
    fields["kind"].choice("PolicyTest")
    metadata = fields.get("metadata")
    if metadata:
        metadata.fields(required=frozenset({"name"}), optional=frozenset({"description"}))["name"].text()
    people = fields.get("principals")
    known = {name: _principal(value) for name, _, value in people.items()} if people else {}
    elements = fields["cases"].elements()
    if not elements:
        raise fields["cases"].error("no cases: this file tests nothing")
    cases: list[Case] = []
    for element in elements:
        case = _case(element, known, targets)
        if case.name in {c.name for c in cases}:
            raise element.error(f"duplicate case `{case.name}`")
        cases.append(case)
    return cases


def _case(node: Located, known: Mapping[str, Principal], targets: Mapping[str, Protocol]) -> Case:
    fields = node.fields(required=frozenset({"name", "request", "expect"}))
    where = f"{node.file}:{fields['name'].line}"
    return Case(fields["name"].text(), _request(fields["request"], known, targets), _expected(fields["expect"]), where)


def _request(node: Located, known: Mapping[str, Principal], targets: Mapping[str, Protocol]) -> AccessRequest:
    target = next((value for name, _, value in node.items() if name == "target"), None)
    if target is None:
        raise node.error("key `target` is missing")
    if target.text() not in targets:
        raise target.error(f"unknown target `{target.text()}`")
    protocol = targets[target.text()]
    fields = node.fields(required=frozenset({"target", "principal"}), optional=_REQUEST | _WHERE[protocol])
    who = fields["principal"]
    if who.is_mapping:
        principal = _principal(who)
    elif who.text() in known:
        principal = known[who.text()]
    else:
        raise who.error(f"unknown principal `{who.text()}`; list it under `principals`")
    verb, resource = _action(node, fields, protocol)
    if "args" in fields.values and "object" in fields.values:
        raise fields["args"].error("`args` and `object` are two names for one thing; write one of them")
    arguments = fields.get("args") or fields.get("object")
    unverified = fields.get("unverified")
    return AccessRequest(
        principal,
        target.text(),
        Action(protocol, verb),
        resource,
        _object(arguments) if arguments else {},
        {name: value.text() for name, _, value in unverified.items()} if unverified else {},
        _time(fields.get("time")),
    )


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
            kinds: dict[str, Callable[[str], Resource]] = {"tool": McpTool, "prompt": McpPrompt, "uri": McpResource}
            resource = kinds[named[0]](text(named[0])) if named else McpMethod()
            verb = verb or (_IMPLIED[named[0]] if named else "")
        case Protocol.HTTP:
            resource = HttpPath(text("host"), text("path"))
        case Protocol.KUBERNETES:
            resource = _kubernetes(node, fields, text)
    if not verb:
        raise node.error("key `verb` is missing")
    return verb, resource


def _kubernetes(node: Located, fields: Fields, text: Callable[[str], str]) -> Resource:
    if "path" in fields.values:
        if "resource" in fields.values:
            raise node.error("a request is about a `path` or a `resource`, not both")
        return KubePath(text("path"))
    if "resource" not in fields.values:
        raise node.error("key `resource` or `path` is missing")
    kind, _, subresource = text("resource").partition("/")
    return KubeObject(
        group=text("group"),
        version=text("version") or "v1",
        resource=kind,
        subresource=text("subresource") or subresource,
        namespace=text("namespace"),
        name=text("name"),
    )


def _principal(node: Located) -> Principal:
    fields = node.fields(required=frozenset({"subject"}), optional=_PRINCIPAL)

    def text(key: str, default: str) -> str:
        found = fields.get(key)
        return found.text() if found else default

    def texts(key: str) -> frozenset[str]:
        found = fields.get(key)
        return frozenset(found.texts()) if found else frozenset()

    kind = fields["kind"].choice("human", "workload") if "kind" in fields.values else "human"
    actor, claims = text("actor", ""), fields.get("claims")
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


def _expected(node: Located) -> Expected:
    fields = node.fields(required=frozenset({"effect"}), optional=_EXPECT)
    effect = fields["effect"].choice("allow", "hold", "deny")
    approval, message, errors = fields.get("approval"), fields.get("message"), fields.get("errors")

    def texts(key: str) -> frozenset[str] | None:
        found = fields.get(key)
        return frozenset(found.texts()) if found else None

    if approval and effect != "hold":
        raise approval.error("only what is held has an `approval`")
    terms = None
    if approval:
        terms = tuple(_term(e) for e in (approval.elements() if approval.is_sequence else [approval]))
    return Expected(
        effect="allow" if effect == "allow" else "hold" if effect == "hold" else "deny",
        rules=texts("rules"),
        masks=texts("masks"),
        approval=terms,
        shadow=texts("shadow"),
        message=message.text() if message else None,
        errors=errors.boolean() if errors else False,
    )


def _term(node: Located) -> ExpectedTerm:
    fields = node.fields(optional=_TERM)
    reviewers, required, rule, scope = (fields.get(k) for k in ("reviewers", "required", "rule", "scope"))
    timeout, duration, silence = (fields.get(k) for k in ("timeout", "for", "auto_approve_after"))
    return ExpectedTerm(
        rule=rule.text() if rule else None,
        reviewers=frozenset(reviewers.texts()) if reviewers else None,
        required=required.integer() if required else None,
        timeout=timeout.duration() if timeout else None,
        scope=scope.text() if scope else None,
        duration=duration.duration() if duration else None,
        auto_approve_after=silence.duration() if silence else None,
    )
