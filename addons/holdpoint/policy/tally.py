"""What the rules that match a request say together: deny wins over hold, hold over allow, nothing is deny."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from holdpoint.domain.access import AccessRequest, McpServerRequest, McpTool
from holdpoint.domain.decision import (
    Decision,
    Deny,
    DenyReason,
    Limit,
    MaskFields,
    Obligation,
    Permit,
    RecordBodies,
    RuleRef,
    UseCredential,
)
from holdpoint.policy.index import Candidate, Outcome
from holdpoint.policy.matchers import AS_APPROVED
from holdpoint.policy.reviewers import Lists
from holdpoint.policy.rules import Effect, Rule
from holdpoint.protocols.kubernetes.discovery import is_discovery


@dataclass(frozen=True, slots=True)
class _Hit:
    """A rule that matched; `error` says why it only counts as matched."""

    rule: Rule
    error: str = ""
    in_doubt: bool = False
    """Whether it matched by what is not known of the request."""


_NO_LISTS = Lists()
_UNHELD = "discovery is never held for review: an allow rule must open it"


class Tally:
    """Takes what matched, in the order of the rules' names, and answers."""

    __slots__ = (
        "_allow_failed",
        "_denying",
        "_errors",
        "_lacking",
        "_lists",
        "_matched",
        "_opens",
        "_request",
        "_shadow",
        "_unheld",
    )

    def __init__(
        self, request: AccessRequest, matching: Iterable[tuple[Candidate, Outcome]], lists: Lists = _NO_LISTS
    ) -> None:
        self._request = request
        self._lists = lists
        self._denying: list[_Hit] = []
        self._matched: list[_Hit] = []
        self._lacking: list[Rule] = []
        self._shadow: list[RuleRef] = []
        self._errors: list[str] = []
        self._allow_failed = False
        self._opens = False
        self._unheld = False
        for candidate, outcome in matching:
            self._weigh(candidate, outcome)

    def _weigh(self, candidate: Candidate, outcome: Outcome) -> None:
        rule, error = candidate.rule, ""
        if isinstance(outcome, str):
            error = f"rule `{rule.ref}` at {rule.ref.where}: {outcome}"
            self._errors.append(error)
            if rule.effect is Effect.ALLOW:
                self._allow_failed |= not rule.shadow
                return
        lacks = bool(rule.scopes) and not rule.scopes <= self._request.principal.scopes
        if lacks and not rule.shadow:
            self._lacking.append(rule)
        if lacks and rule.effect is Effect.ALLOW:
            return
        if rule.shadow:
            self._shadow.append(rule.ref)
        elif rule.effect is Effect.DENY:
            self._denying.append(_Hit(rule, error))
        elif rule.effect is Effect.HOLD and is_discovery(self._request):
            # Never held, which is not allowed: its other duties count, and what opens must be an allow rule.
            self._unheld = True
            self._matched.append(_Hit(replace(rule, approval=None), error))
        elif problem := self._unanswerable(rule):
            # Whom to ask is not known: that is a no, and not a question to nobody.
            self._errors.append(problem)
            self._denying.append(_Hit(rule, problem))
        else:
            # A hold rule whose scopes are missing opens nothing; what another rule opens still waits for its approval,
            # or a token with fewer scopes would get further than one with more.
            self._opens |= rule.effect is not Effect.MASK and not lacks and candidate.opens(self._request)
            self._matched.append(_Hit(rule, error, in_doubt=not candidate.is_certain(self._request)))

    def _unanswerable(self, rule: Rule) -> str:
        if rule.approval is None:
            return ""
        _, why = self._lists.resolve(rule.approval, self._request)
        return f"rule `{rule.ref}` at {rule.ref.where}: {why}" if why else ""

    def decision(self, bundle: str) -> Decision:
        """Answer."""
        if self._denying:
            return self._denied_by(bundle, self._denying)
        if isinstance(self._request.resource, McpServerRequest):
            # Nobody can be asked while a server waits for its client: what would be held does not pass.
            held = [h for h in self._matched if h.rule.effect is Effect.HOLD]
            if held:
                return self._denied_by(bundle, held)
        if not self._opens:
            return self._unopened(bundle)
        naming = [h.rule for h in self._matched if h.rule.credential]
        if len({r.credential for r in naming}) > 1:
            named = ", ".join(f"`{r.ref}`" for r in naming)
            self._errors.append(f"rules {named} ask for different credentials")
            return self._deny(bundle, DenyReason.EVALUATION_ERROR, [r.ref for r in naming])
        refs = tuple(h.rule.ref for h in self._matched)
        return Permit(bundle, refs, self._duties(), tuple(self._shadow), tuple(sorted(self._errors)))

    def _denied_by(self, bundle: str, hits: list[_Hit]) -> Deny:
        certain = any(not h.error for h in hits)
        reasons = dict.fromkeys(h.rule.reason for h in hits if h.rule.reason)
        reason = DenyReason.RULE if certain else DenyReason.EVALUATION_ERROR
        return self._deny(bundle, reason, [h.rule.ref for h in hits], "; ".join(reasons))

    def _unopened(self, bundle: str) -> Deny:
        if self._lacking:
            have = self._request.principal.scopes
            # Ask for as little as may do.
            rule = min(self._lacking, key=lambda r: len(r.scopes - have))
            return self._deny(bundle, DenyReason.SCOPE, [rule.ref], scopes=rule.scopes)
        if self._unheld:
            return self._deny(bundle, DenyReason.NO_RULE, [], _UNHELD)
        return self._deny(bundle, DenyReason.EVALUATION_ERROR if self._allow_failed else DenyReason.NO_RULE, [])

    def _deny(
        self,
        bundle: str,
        reason: DenyReason,
        rules: list[RuleRef],
        message: str = "",
        scopes: frozenset[str] = frozenset(),
    ) -> Deny:
        errors, shadow = tuple(sorted(self._errors)), tuple(self._shadow)
        return Deny(reason, bundle, tuple(rules), message, errors, shadow, scopes)

    def _duties(self) -> tuple[Obligation, ...]:
        rules = [h.rule for h in self._matched]
        duties: list[Obligation] = []
        resource = self._request.resource
        unapproved = isinstance(resource, McpTool) and resource.pin not in AS_APPROVED
        for hit in self._matched:
            term = hit.rule.approval
            if term is not None:
                term, _ = self._lists.resolve(term, self._request)
                # What nobody could evaluate, what is in doubt, and what nobody approved as it is now, silence cannot
                # approve.
                is_unclear = bool(hit.error) or hit.in_doubt or unapproved
                duties.append(replace(term, auto_approve_after=None) if is_unclear else term)
        profiles = tuple(sorted({name for r in rules for name in r.mask}))
        if profiles:
            duties.append(MaskFields(profiles))
        duties.extend(UseCredential(name) for name in {r.credential for r in rules if r.credential})
        record = [r.record_bodies for r in rules if r.record_bodies is not None]
        if record:
            duties.append(RecordBodies(enabled=any(record)))
        limits = [r.response_bytes for r in rules if r.response_bytes is not None]
        if limits:
            duties.append(Limit(min(limits)))
        for rule in rules:
            duties.extend(rule.rates)
        duties.extend(r.guard for r in rules if r.guard is not None)
        return tuple(duties)
