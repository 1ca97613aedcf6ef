"""Read `kind: PolicyTest` documents: requests and what a bundle should say to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from holdpoint.domain.access import AccessRequest, Principal, Protocol, person_name
from holdpoint.located_yaml import Located
from holdpoint.policy.expected_terms import ExpectedTerm, read_term
from holdpoint.policy.schema import API_VERSION
from holdpoint.policy.schema_lists import read_time
from holdpoint.policy.schema_test_requests import DEFAULT_TIME, read_principal, read_request

_TOP = frozenset({"apiVersion", "kind", "cases"})
_EXPECT = frozenset(
    {"rules", "masks", "approval", "shadow", "message", "errors", "visible", "scopes", "limits", "guards"}
)


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
    visible: bool | None = None
    """Whether lists show what the request is about."""
    scopes: frozenset[str] | None = None
    """What a denial asks the token to have."""
    limits: frozenset[str] | None = None
    """Calls that may be made, as `10 a minute`."""
    guards: frozenset[str] | None = None
    """Patterns that the answer may not hold."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request and the answer it should get."""

    name: str
    request: AccessRequest
    expected: Expected
    where: str


def read_cases(document: Located, targets: Mapping[str, Protocol]) -> list[Case]:
    """Return the cases of a document. Raises ConfigError, for no cases too: a test that tests nothing has failed."""
    fields = document.fields(required=_TOP, optional=frozenset({"metadata", "principals", "deputies"}))
    fields["apiVersion"].choice(API_VERSION)
    fields["kind"].choice("PolicyTest")
    metadata = fields.get("metadata")
    if metadata:
        metadata.fields(required=frozenset({"name"}), optional=frozenset({"description"}))["name"].text()
    people = fields.get("principals")
    known = {name: read_principal(value) for name, _, value in people.items()} if people else {}
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


@dataclass(frozen=True, slots=True)
class Deputy:
    """One person, and in whose names they should be able to approve at some time."""

    name: str
    person: str
    groups: frozenset[str]
    at: float
    """Unix seconds."""
    acting_for: frozenset[str]
    where: str


def read_deputies(document: Located) -> list[Deputy]:
    """Return what a document that was read by `read_cases` expects of delegations. Raises ConfigError."""
    node = next((value for name, _, value in document.items() if name == "deputies"), None)
    return [_deputy(element) for element in node.elements()] if node else []


def _deputy(node: Located) -> Deputy:
    fields = node.fields(required=frozenset({"name", "person", "acting_for"}), optional=frozenset({"groups", "time"}))
    groups, time = fields.get("groups"), fields.get("time")
    return Deputy(
        fields["name"].text(),
        person_name(fields["person"].text()),
        frozenset(groups.texts()) if groups else frozenset(),
        read_time(time) if time else DEFAULT_TIME,
        frozenset(fields["acting_for"].texts()),
        f"{node.file}:{fields['name'].line}",
    )


def _case(node: Located, known: Mapping[str, Principal], targets: Mapping[str, Protocol]) -> Case:
    fields = node.fields(required=frozenset({"name", "request", "expect"}))
    where = f"{node.file}:{fields['name'].line}"
    return Case(
        fields["name"].text(), read_request(fields["request"], known, targets), _expected(fields["expect"]), where
    )


def _expected(node: Located) -> Expected:
    fields = node.fields(required=frozenset({"effect"}), optional=_EXPECT)
    effect = fields["effect"].choice("allow", "hold", "deny")
    approval, message, errors = fields.get("approval"), fields.get("message"), fields.get("errors")
    visible = fields.get("visible")

    def texts(key: str) -> frozenset[str] | None:
        found = fields.get(key)
        return frozenset(found.texts()) if found else None

    if approval and effect != "hold":
        raise approval.error("only what is held has an `approval`")
    terms = None
    if approval:
        terms = tuple(read_term(e) for e in (approval.elements() if approval.is_sequence else [approval]))
    return Expected(
        effect="allow" if effect == "allow" else "hold" if effect == "hold" else "deny",
        rules=texts("rules"),
        masks=texts("masks"),
        approval=terms,
        shadow=texts("shadow"),
        message=message.text() if message else None,
        errors=errors.boolean() if errors else False,
        visible=visible.boolean() if visible else None,
        scopes=texts("scopes"),
        limits=texts("limits"),
        guards=texts("guards"),
    )
