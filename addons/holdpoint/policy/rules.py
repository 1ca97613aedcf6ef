"""What a policy says, as frozen types. `schema` reads them from YAML, `engine` decides by them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from holdpoint.domain.access import PinState, Protocol
from holdpoint.domain.decision import GuardAnswer, Rate, RequireApproval, RuleRef
from holdpoint.policy.argument_paths import ArgumentPath
from holdpoint.policy.cel import Condition
from holdpoint.protocols.kubernetes.selectors import Selector

type Globs = tuple[str, ...] | None
"""Globs of which one must match; None: the rule does not ask."""


class Effect(StrEnum):
    """What a rule does with the requests it matches."""

    DENY = "deny"
    HOLD = "hold"
    ALLOW = "allow"
    MASK = "mask"
    """Adds duties to what other rules permit, and permits nothing."""


type PrincipalKey = Literal["groups", "persons", "subjects", "issuers", "kinds", "clients", "actors"]
PRINCIPAL_KEYS: tuple[PrincipalKey, ...] = (
    "groups",
    "persons",
    "subjects",
    "issuers",
    "kinds",
    "clients",
    "actors",
)


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a rule is about. Every part that is there must match; of each list, one element."""

    any: bool = False
    """Every verb and every resource, subresources and paths included."""
    verbs: Globs = None
    tools: Globs = None
    prompts: Globs = None
    uris: Globs = None
    server_requests: Globs = None
    pins: frozenset[PinState] | None = None
    protocol_versions: Globs = None
    arguments: Mapping[ArgumentPath, tuple[str, ...]] = field(default_factory=dict[ArgumentPath, tuple[str, ...]])
    argument_patterns: tuple[str, ...] = ()
    paths: Globs = None
    hosts: Globs = None
    resources: Globs = None
    groups: Globs = None
    namespaces: Globs = None
    names: Globs = None
    label_selectors: tuple[Selector, ...] = ()
    field_selectors: tuple[Selector, ...] = ()
    dry_run: bool | None = None
    commands: tuple[tuple[str, ...], ...] = ()
    """Globs by place in `argv`; `**` for the last: whatever follows."""
    containers: Globs = None
    tty: bool | None = None
    stdin: bool | None = None
    ports: tuple[range, ...] = ()
    principals: Mapping[PrincipalKey, tuple[str, ...]] = field(default_factory=dict[PrincipalKey, tuple[str, ...]])
    """Globs over what the caller's token proves."""
    unverified: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def names_objects(self) -> bool:
        """Whether it speaks of Kubernetes objects."""
        globs = (self.resources, self.groups, self.namespaces, self.names)
        return any(g is not None for g in globs) or self.reads_options

    @property
    def reads_options(self) -> bool:
        """Whether it asks for something that a request to the Kubernetes API says beside the name of its object."""
        said = (self.dry_run, self.containers, self.tty, self.stdin)
        lists = (self.label_selectors, self.field_selectors, self.commands, self.ports)
        return any(s is not None for s in said) or any(lists)

    @property
    def names_mcp(self) -> bool:
        """Whether it speaks of tools, prompts or resources of an MCP server, or of what one asks of its clients."""
        return any(g is not None for g in (self.tools, self.prompts, self.uris, self.server_requests, self.pins))

    @property
    def is_mcp_only(self) -> bool:
        """Whether it asks for something that only messages of MCP have."""
        return bool(self.protocol_versions or self.arguments or self.argument_patterns or self.pins is not None)

    @property
    def names_something(self) -> bool:
        """Whether it says what kind of resource it is about."""
        return self.names_objects or self.names_mcp or self.paths is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy, checked."""

    ref: RuleRef
    effect: Effect
    match: Match
    conditions: Mapping[Protocol, Condition] = field(default_factory=dict[Protocol, Condition])
    """`when:`, compiled for each protocol the rule can match on. Empty: no condition."""
    approval: RequireApproval | None = None
    """Of hold rules, and of them only."""
    mask: tuple[str, ...] = ()
    credential: str = ""
    record_bodies: bool | None = None
    response_bytes: int | None = None
    scopes: frozenset[str] = frozenset()
    """Scopes that the token must have, all of them. Of hold and allow rules."""
    rates: tuple[Rate, ...] = ()
    guard: GuardAnswer | None = None
    reason: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A named list of rules for named targets."""

    name: str
    targets: tuple[str, ...]
    rules: tuple[Rule, ...]
    where: str = ""
    """`file:line`."""
