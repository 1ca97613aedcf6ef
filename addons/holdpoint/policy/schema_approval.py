"""Read the `approval:` of a hold rule: who may say yes, how many, for how long, and for how much."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from holdpoint.domain.access import PinState, Protocol
from holdpoint.domain.decision import BreakGlass, RequireApproval, RuleRef, Scope
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy.globs import compile_globs
from holdpoint.policy.reviewers import ReviewerList
from holdpoint.policy.rules import Match
from holdpoint.policy.schema_grant import GrantTerms, read_grant, read_span
from holdpoint.policy.schema_reviewers import read_clauses, read_names

MAX_GLASS = 8 * 3_600.0
_KEYS = frozenset(
    {
        "reviewers",
        "required",
        "all_of",
        "timeout",
        "grant",
        "auto_approve_after",
        "require_reason",
        "preview",
        "break_glass",
    }
)
_NO_LISTS: Mapping[str, ReviewerList] = MappingProxyType({})
_STORES = ("create", "update", "patch", "delete", "deletecollection")
"""Verbs that a cluster can be asked to try: dryRun, Kubernetes API concepts."""
_NEVER_TRIED = frozenset({"attach", "exec", "log", "portforward", "proxy"})
"""Subresources that have no dry run: what they do, they do elsewhere than in the store."""


def read_approval(
    node: Located,
    ref: RuleRef,
    match: Match,
    reason: str,
    *,
    protocols: AbstractSet[Protocol],
    lists: Mapping[str, ReviewerList] = _NO_LISTS,
) -> RequireApproval:
    """Read the terms of a rule that can match on `protocols`, in a bundle with these reviewer lists.

    Raises ConfigError.
    """
    fields = node.fields(optional=_KEYS)
    first, *others = read_clauses(fields, lists)
    timeout = read_span(fields.get("timeout"), 600.0)
    grant = read_grant(fields.get("grant"), match, protocols)
    reason_needed = _require_reason(fields.get("require_reason"))
    preview_needed = _require_preview(fields.get("preview"), match, protocols)
    glass = _break_glass(fields.get("break_glass"), grant)
    silence = fields.get("auto_approve_after")
    if silence:
        _check_silence(silence, match, timeout)
        _check_silence_beside(silence, fields, first.required)
    return RequireApproval(
        rule=ref,
        reviewers=first.reviewers,
        required=first.required,
        timeout=timeout,
        scope=grant.scope,
        duration=grant.duration,
        auto_approve_after=read_span(silence, 0.0) if silence else None,
        reason=reason,
        also=tuple(others),
        require_reason=reason_needed,
        require_preview=preview_needed,
        widen=grant.widen,
        break_glass=glass,
    )


def _check_silence(silence: Located, match: Match, timeout: float) -> None:
    if match.unverified:
        raise silence.error("silence cannot approve what a caller's own word (`unverified`) selects")
    if match.arguments or match.argument_patterns:
        # They match whatever a server might read, which is right for asking and too wide for not asking.
        raise silence.error("silence cannot approve what `arguments` or `argument_patterns` select; use `when`")
    if match.pins is not None and match.pins != frozenset({PinState.PINNED}):
        raise silence.error("silence cannot approve what `pins` select: a person looks at what a tool has become")
    if read_span(silence, 0.0) >= timeout:
        raise silence.error("`auto_approve_after` must end before `timeout` does")


def _check_silence_beside(silence: Located, fields: Fields, required: int) -> None:
    """Refuse silence where the rule wants more of a reviewer than that nobody objects."""
    if "all_of" in fields.values or required > 1:
        raise silence.error("silence cannot stand for several persons; take out `auto_approve_after`, or ask one")
    if "preview" in fields.values and fields["preview"].text() == "required":
        raise silence.error("silence looks at no preview; take out `auto_approve_after`, or `preview: required`")
    if "require_reason" in fields.values:
        raise silence.error("silence reads no reason; take out `auto_approve_after`, or `require_reason`")
    if "break_glass" in fields.values:
        raise silence.error("what silence opens needs no broken glass; take out one of them")
    grant = fields.get("grant")
    if grant and any(name == "widen" for name, _, _ in grant.items()):
        raise silence.error("silence cannot open more than what was asked; take out `auto_approve_after`, or `widen`")


def _require_reason(node: Located | None) -> bool:
    if node is None:
        return False
    if not node.boolean():
        raise node.error("write `require_reason: true`, or leave it out")
    return True


def _require_preview(node: Located | None, match: Match, protocols: AbstractSet[Protocol]) -> bool:
    if node is None or node.choice("required", "optional") == "optional":
        return False
    if protocols != {Protocol.KUBERNETES}:
        raise node.error(
            "only a cluster can try a request before it is made: nobody could ever approve the others; "
            "give Kubernetes targets a rule of their own"
        )
    if match.paths is not None and not match.names_objects:
        raise node.error("paths have no dry run: nobody could ever approve; write `preview: optional`")
    if match.verbs is not None and not any(map(compile_globs(match.verbs), _STORES)):
        verbs = ", ".join(f"`{v}`" for v in match.verbs)
        raise node.error(f"{verbs} store nothing, so there is no dry run: nobody could ever approve")
    subresources = [r.partition("/")[2] for r in match.resources or ()]
    if subresources and all(s in _NEVER_TRIED for s in subresources):
        raise node.error(f"`{(match.resources or ('',))[0]}` has no dry run: nobody could ever approve")
    return True


def _break_glass(node: Located | None, grant: GrantTerms) -> BreakGlass | None:
    if node is None:
        return None
    fields = node.fields(required=frozenset({"who", "for"}))
    who, span = read_names(fields["who"]), read_span(fields["for"], 0.0, MAX_GLASS)
    if grant.scope is not Scope.REQUEST and span > grant.duration:
        raise fields["for"].error("broken glass would open for longer than an approval does (`grant.for`)")
    return BreakGlass(who, span)
