"""One answer for several messages that travel together: all of them pass, or none does."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from holdpoint.domain.decision import (
    Decision,
    Deny,
    DenyReason,
    GuardAnswer,
    Limit,
    MaskFields,
    Obligation,
    Permit,
    Rate,
    RecordBodies,
    RequireApproval,
    RuleRef,
    UseCredential,
)

_STRONGEST = (DenyReason.RULE, DenyReason.EVALUATION_ERROR, DenyReason.NO_RULE, DenyReason.SCOPE)
_MAIN = "main"
"""The credential of those that ask for none."""


def combine(bundle: str, decisions: Sequence[Decision], members: tuple[Decision, ...]) -> Decision:
    """Combine what was decided of each message; `members` are those of them that the request lists, in its order."""
    denied = [d for d in decisions if isinstance(d, Deny)]
    permits = [d for d in decisions if isinstance(d, Permit)]
    rules = _united(d.rules for d in (denied or permits))
    shadow = _united(d.shadow for d in decisions)
    errors = tuple(sorted({e for d in decisions for e in d.errors}))
    if denied or not permits:
        reasons = {d.reason for d in denied} or {DenyReason.EVALUATION_ERROR}
        reason = next((r for r in _STRONGEST if r in reasons), DenyReason.EVALUATION_ERROR)
        messages = dict.fromkeys(d.message for d in denied if d.message)
        # Scopes are asked for only where they would do for all that is denied.
        scopes = frozenset[str]().union(*(d.scopes for d in denied)) if reason is DenyReason.SCOPE else frozenset[str]()
        return Deny(reason, bundle, rules, "; ".join(messages), errors, shadow, scopes, members)
    if len({_credential(p) for p in permits}) > 1:
        errors = (*errors, "messages that travel together need different credentials")
        return Deny(DenyReason.EVALUATION_ERROR, bundle, rules, "", errors, shadow, frozenset(), members)
    return Permit(bundle, rules, tuple(_unite(permits)), shadow, errors, members)


def _united(refs: Iterator[tuple[RuleRef, ...]]) -> tuple[RuleRef, ...]:
    return tuple(sorted({r for some in refs for r in some}, key=lambda r: (r.policy, r.rule)))


def _credential(permit: Permit) -> str:
    return next((d.name for d in permit.obligations if isinstance(d, UseCredential)), _MAIN)


def _unite(permits: Sequence[Permit]) -> Iterator[Obligation]:
    terms: dict[RequireApproval, RequireApproval] = {}
    for term in (t for p in permits for t in p.approvals):
        # One rule may ask others of another part: whom, depends on the namespace.
        unhurried = replace(term, auto_approve_after=None)
        other = terms.get(unhurried, term)
        # Silence approves the whole only where it approves each part.
        terms[unhurried] = term if other.auto_approve_after is not None else unhurried
    yield from terms.values()
    duties = [d for p in permits for d in p.obligations]
    masks = {name for p in permits for name in p.masks}
    if masks:
        yield MaskFields(tuple(sorted(masks)))
    yield from dict.fromkeys(d for d in duties if isinstance(d, UseCredential))
    recording = [[d.enabled for d in p.obligations if isinstance(d, RecordBodies)] for p in permits]
    if any(recording):
        # What no rule speaks of is recorded.
        yield RecordBodies(enabled=any(not said or any(said) for said in recording))
    limits = [d.response_bytes for d in duties if isinstance(d, Limit)]
    if limits:
        yield Limit(min(limits))
    yield from dict.fromkeys(d for d in duties if isinstance(d, (Rate, GuardAnswer)))
