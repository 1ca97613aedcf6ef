"""What policy answers. The default is Deny."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from holdpoint.domain.access import AccessRequest, McpTool


class DenyReason(StrEnum):
    """Why a request may not pass. Recorded always, told to the caller only in general words."""

    NO_RULE = "no rule allows this"
    RULE = "a rule denies this"
    SCOPE = "the token lacks a scope"
    EVALUATION_ERROR = "a rule could not be evaluated"
    UNKNOWN_OBLIGATION = "a rule asks for a duty that this version does not know"
    NOT_READY = "no policy is loaded"


class Scope(StrEnum):
    """How far one approval reaches."""

    REQUEST = "request"
    """This request, once."""
    WINDOW = "window"
    """The same verb on the same named thing, until the window ends."""
    SESSION = "session"
    """One exec stream or one MCP session that has an id."""


@dataclass(frozen=True, slots=True)
class RuleRef:
    """A rule by policy and name, with the place it was read from."""

    policy: str
    rule: str
    where: str = ""
    """`file:line` of the rule."""

    def __str__(self) -> str:
        return f"{self.policy}/{self.rule}"


@dataclass(frozen=True, slots=True)
class Clause:
    """One set of reviewers, and how many of it must say yes."""

    reviewers: frozenset[str]
    """`group:NAME` or `person:NAME`: any of them. Empty means that nobody can."""
    required: int = 1
    """How many distinct persons."""


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Who may open what they asked for at once, to be reviewed afterwards."""

    who: frozenset[str]
    """`group:NAME` or `person:NAME`."""
    duration: float
    """Seconds for which it opens, at most."""


@dataclass(frozen=True, slots=True)
class RequireApproval:
    """A human must say yes first. Several of these on one decision must all be satisfied."""

    rule: RuleRef
    reviewers: frozenset[str]
    """`group:NAME` or `person:NAME`. Empty means that nobody can approve."""
    required: int = 1
    """How many distinct persons."""
    timeout: float = 600.0
    """Seconds until unanswered means denied."""
    scope: Scope = Scope.REQUEST
    duration: float = 0.0
    """Seconds for which a window or session grant holds, from the last approval."""
    auto_approve_after: float | None = None
    """Seconds after which silence is consent, or None. Only while reviewers can be reached."""
    reason: str = ""
    also: tuple[Clause, ...] = ()
    """Further sets of reviewers that must all say yes. One person counts in one set alone."""
    require_reason: bool = False
    """Whether the requester has to say why before anybody can approve."""
    require_preview: bool = False
    """Whether nobody can approve what could not be tried before (`preview: required`)."""
    widen: frozenset[str] = frozenset()
    """What a window does not pin."""
    break_glass: BreakGlass | None = None

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """All sets of reviewers."""
        return (Clause(self.reviewers, self.required), *self.also)

    @property
    def persons(self) -> int:
        """How many distinct persons must say yes, in all."""
        return sum(clause.required for clause in self.clauses)


@dataclass(frozen=True, slots=True)
class MaskFields:
    """Mask what comes back, and what is recorded, by these profiles."""

    profiles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UseCredential:
    """Open the road with this credential of the target instead of its main one."""

    name: str


@dataclass(frozen=True, slots=True)
class RecordBodies:
    """Whether bodies (masked) are recorded beside the metadata."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that an answer may carry, in bytes."""

    response_bytes: int


@dataclass(frozen=True, slots=True)
class Rate:
    """How often the calls that one rule permits may be made by one principal."""

    rule: RuleRef
    calls: int
    per: Literal["minute", "session"]
    by_tool: bool = True
    """Whether each tool is counted by itself. What is no tool is counted together."""


@dataclass(frozen=True, slots=True)
class GuardAnswer:
    """Withhold an answer in which one of these patterns (RE2) is found."""

    rule: RuleRef
    patterns: tuple[str, ...]


type Obligation = RequireApproval | MaskFields | UseCredential | RecordBodies | Limit | Rate | GuardAnswer


@dataclass(frozen=True, slots=True)
class Permit:
    """The request may pass once every obligation is met."""

    bundle: str
    """Hash of the policies that decided, `sha256:` and hexadecimal."""
    rules: tuple[RuleRef, ...]
    obligations: tuple[Obligation, ...] = ()
    shadow: tuple[RuleRef, ...] = ()
    """Rules marked `shadow: true` that would have matched."""
    errors: tuple[str, ...] = ()
    """What went wrong in rules, for the operator: each counted for the stricter side."""
    members: "tuple[Decision, ...]" = ()
    """What was decided of each member of the request, in order."""

    @property
    def approvals(self) -> tuple[RequireApproval, ...]:
        """The approvals that must be given first. Empty: none."""
        return tuple(o for o in self.obligations if isinstance(o, RequireApproval))

    @property
    def masks(self) -> tuple[str, ...]:
        """Names of the mask profiles that apply, each once, sorted."""
        return tuple(sorted({p for o in self.obligations if isinstance(o, MaskFields) for p in o.profiles}))


@dataclass(frozen=True, slots=True)
class Deny:
    """The request may not pass."""

    reason: DenyReason = DenyReason.NO_RULE
    bundle: str = ""
    rules: tuple[RuleRef, ...] = ()
    message: str = ""
    """The rule's own `reason:`, written for the caller."""
    errors: tuple[str, ...] = ()
    """What went wrong in rules, for the operator."""
    shadow: tuple[RuleRef, ...] = field(default=())
    scopes: frozenset[str] = frozenset()
    """With reason SCOPE: every scope that a token needs for this (RFC 6750 section 3.1, `insufficient_scope`)."""
    members: "tuple[Decision, ...]" = ()
    """What was decided of each member of the request, in order."""
    legs: tuple[str, ...] = ()
    """Who of those that the call came through may not, and why: for the operator."""

    @property
    def by_rule(self) -> bool:
        """Whether a rule denies this, or nobody can tell whether one does; not, that no rule allows it."""
        return self.reason not in (DenyReason.NO_RULE, DenyReason.SCOPE)


type Decision = Permit | Deny


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request takes of one rate."""

    rate: Rate
    tool: str
    """The tool that is counted by itself; empty: all that the rule permits is counted together."""
    calls: int


def charges(request: AccessRequest, permit: Permit) -> tuple[Charge, ...]:
    """Return what a permitted request takes of its rates: each member of a batch counts by itself."""
    counted: dict[tuple[Rate, str], int] = {}
    for rate, tool in _charges(request, permit):
        counted[rate, tool] = counted.get((rate, tool), 0) + 1
    return tuple(Charge(rate, tool, calls) for (rate, tool), calls in counted.items())


def _charges(request: AccessRequest, permit: Permit) -> Iterator[tuple[Rate, str]]:
    of_members: set[Rate] = set()
    for member, decision in zip(request.members, permit.members, strict=True):
        if isinstance(decision, Permit):
            of_members.update(d for d in decision.obligations if isinstance(d, Rate))
            yield from _charges(member, decision)
    for duty in permit.obligations:
        if isinstance(duty, Rate) and duty not in of_members:
            tool = request.resource.name if isinstance(request.resource, McpTool) else ""
            yield duty, tool if duty.by_tool else ""
