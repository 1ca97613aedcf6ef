"""What could come of a request of which caller, verb and resource are known, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.domain.prospect import Outlook, Prospect
from holdpoint.policy.globs import compile_globs
from holdpoint.policy.index import Candidate, Kind
from holdpoint.policy.reviewers import Lists
from holdpoint.policy.rules import Effect, Rule
from holdpoint.policy.visibility import Stand, counts, stand_of
from holdpoint.protocols.kubernetes.discovery import is_discovery


def prospect(kind: Kind, request: AccessRequest, lists: Lists) -> Prospect:
    """Return what could come of it. What a token lacks the scopes for opens nothing here.

    A `*` for the verb, the group or the resource stands for all of them: see `_of_all`.
    """
    resource = request.resource
    words = (resource.group, resource.resource, resource.subresource) if isinstance(resource, KubeObject) else ()
    if "*" in (request.action.verb, *words):
        return _of_all(kind, request)
    found = _Found()
    for candidate in kind.about(request, resource):
        stand = _stand(kind, candidate, request)
        if stand is Stand.ASK:
            ((_, said),) = kind.weigh([candidate], request)
            stand = Stand.YES if counts(candidate, said) else Stand.NO
        if stand is not Stand.NO:
            rule = candidate.rule
            if rule.approval is not None and lists.resolve(rule.approval, request)[1]:
                rule = replace(rule, effect=Effect.DENY)  # it names nobody who could be asked
            found.take(rule, is_certain=stand is Stand.YES, opens=candidate.opens(request))
    return found.prospect()


def _of_all(kind: Kind, request: AccessRequest) -> Prospect:
    # What opens must be written as widely and hang on nothing; what denies any of it denies the whole.
    found = _Found()
    for candidate in kind.candidates:
        stand, rule = _stand(kind, candidate, request), candidate.rule
        if stand is Stand.NO:
            continue
        is_whole = candidate.fits_resource(request) and candidate.is_certain(request)
        if is_whole and stand is Stand.YES and rule.effect is not Effect.DENY:
            found.take(rule, is_certain=True)
        elif rule.effect is not Effect.ALLOW and _touches(candidate, request):
            found.take(rule, is_certain=rule.effect is Effect.DENY, opens=False)
    return found.prospect()


def _touches(candidate: Candidate, request: AccessRequest) -> bool:
    verb, resource = request.action.verb, request.resource
    if verb != "*" and not candidate.verb_fits(verb):
        return False
    namespaces = candidate.rule.match.namespaces
    namespace = resource.namespace if isinstance(resource, KubeObject) else ""
    return namespaces is None or not namespace or compile_globs(namespaces)(namespace)


def _stand(kind: Kind, candidate: Candidate, request: AccessRequest) -> Stand:
    rule = candidate.rule
    if rule.effect is Effect.HOLD and is_discovery(request):
        return Stand.NO
    lacks = not rule.scopes <= request.principal.scopes
    return Stand.NO if lacks and rule.effect is not Effect.DENY else stand_of(kind, candidate, request)


def together(prospects: Sequence[Prospect]) -> Prospect:
    """Combine what could come of a request for each of several callers, who must all be allowed it."""
    order = (Outlook.DENIED, Outlook.NO_RULE, Outlook.HELD, Outlook.ALLOWED)
    outlook = min((p.outlook for p in prospects), key=order.index, default=Outlook.NO_RULE)
    worst = [p for p in prospects if p.outlook is outlook]
    return Prospect(
        outlook,
        tuple(dict.fromkeys(r for p in worst for r in p.rules)),
        "; ".join(dict.fromkeys(p.message for p in worst if p.message)),
        tuple(dict.fromkeys(r for p in prospects for r in p.doubt)),
    )


@dataclass(slots=True)
class _Found:
    """The rules that match, or may."""

    denying: list[Rule] = field(default_factory=list[Rule])
    holding: list[Rule] = field(default_factory=list[Rule])
    doubt: list[Rule] = field(default_factory=list[Rule])
    opening: list[Rule] = field(default_factory=list[Rule])
    """Hold rules that could open it."""
    allows: bool = False

    def take(self, rule: Rule, *, is_certain: bool, opens: bool = True) -> None:
        """Count a rule."""
        if opens and rule.effect is Effect.HOLD:
            self.opening.append(rule)
        match rule.effect:
            case Effect.DENY:
                (self.denying if is_certain else self.doubt).append(rule)
            case Effect.HOLD:
                (self.holding if is_certain else self.doubt).append(rule)
            case Effect.ALLOW:
                self.allows = True
            case Effect.MASK:
                pass

    def prospect(self) -> Prospect:
        """Say what could come of it."""
        if self.denying:
            return _by(Outlook.DENIED, self.denying, self.doubt)
        if not self.allows and not self.opening:
            return Prospect()
        if self.holding:
            return _by(Outlook.HELD, self.holding, self.doubt)
        # Where no rule allows it, nothing but a hold that depends on the request could open it.
        return _by(Outlook.ALLOWED, [], self.doubt) if self.allows else _by(Outlook.HELD, self.opening, self.doubt)


def _by(outlook: Outlook, rules: list[Rule], doubt: list[Rule]) -> Prospect:
    return Prospect(
        outlook,
        tuple(r.ref for r in rules),
        "; ".join(dict.fromkeys(r.reason for r in rules if r.reason)),
        tuple(r.ref for r in doubt if r not in rules),
    )
