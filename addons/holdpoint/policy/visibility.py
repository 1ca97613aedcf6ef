"""What lists show: the things that a caller could be permitted to use, for some arguments.

A condition that reads arguments, and a match that does, say nothing here: an unknown deny hides nothing, an unknown
allow shows.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from holdpoint.domain.access import AccessRequest, Resource
from holdpoint.policy.index import Candidate, Kind, Outcome
from holdpoint.policy.rules import Effect


class Viewer:
    """Answers for one caller, one verb and one kind of resource; what the resource does not change is asked once."""

    __slots__ = ("_kind", "_known", "_request")

    def __init__(self, kind: Kind, request: AccessRequest) -> None:
        self._kind = kind
        self._request = request
        self._known: dict[int, Stand] = {}

    def shows(self, resource: Resource) -> bool:
        """Tell whether a thing is shown."""
        view = _View()
        asking: list[Candidate] = []
        for candidate in self._kind.about(self._request, resource):
            stand = self._known.get(candidate.number)
            if stand is None:
                stand = self._known[candidate.number] = stand_of(self._kind, candidate, self._request)
            if stand is Stand.ASK:
                asking.append(candidate)
            elif stand is not Stand.NO:
                view.take(candidate, is_certain=stand is Stand.YES)
        if asking and not view.hidden:
            request = replace(self._request, resource=resource)
            for candidate, said in self._kind.weigh(asking, request):
                if counts(candidate, said):
                    view.take(candidate, is_certain=True)
        return view.shows


class Stand(Enum):
    """How a rule stands to all resources of a kind, as far as that can be told."""

    NO = auto()
    YES = auto()
    MAYBE = auto()
    """It depends on the arguments."""
    ASK = auto()
    """It depends on the resource."""


def stand_of(kind: Kind, candidate: Candidate, request: AccessRequest) -> Stand:
    """Tell how a rule that is about the verb and the resource of a request stands to it, its arguments unknown."""
    rule, condition = candidate.rule, candidate.condition
    if rule.shadow or rule.effect is Effect.MASK or not candidate.fits_caller(request):
        return Stand.NO
    if candidate.tests.arguments or (condition is not None and condition.reads_arguments):
        return Stand.MAYBE
    if condition is None:
        return Stand.YES
    if condition.reads_resource:
        return Stand.ASK
    ((_, said),) = kind.weigh([candidate], request)
    return Stand.YES if counts(candidate, said) else Stand.NO


@dataclass(slots=True)
class _View:
    """What the rules say to one thing."""

    hidden: bool = False
    could_open: bool = False
    credentials: set[str] = field(default_factory=set[str])

    def take(self, candidate: Candidate, *, is_certain: bool) -> None:
        """Count a rule that matches, or may."""
        if candidate.rule.effect is Effect.DENY:
            self.hidden |= is_certain
            return
        self.could_open = True
        if is_certain and candidate.rule.credential:
            self.credentials.add(candidate.rule.credential)

    @property
    def shows(self) -> bool:
        # Rules that certainly ask for different credentials certainly deny.
        return self.could_open and not self.hidden and len(self.credentials) <= 1


def counts(candidate: Candidate, said: Outcome) -> bool:
    """Tell whether a rule matches by what its condition says.

    What cannot be evaluated counts for the stricter side, as in a decision; a hold shows what it holds.
    """
    return said if isinstance(said, bool) else candidate.rule.effect is not Effect.ALLOW
