"""What lists show: the things that a caller could be permitted to use, for some arguments.

A condition that reads arguments, and a match that does, say nothing here: an unknown deny hides nothing, an unknown
allow shows.
"""

from collections.abc import Iterable
from dataclasses import replace

from holdpoint.domain.access import AccessRequest, Resource
from holdpoint.policy.cel import Facts
from holdpoint.policy.index import Candidate, Kind, outcome
from holdpoint.policy.rules import Effect


class Viewer:
    """Answers for one caller, one verb and one kind of resource; what the resource does not change is asked once."""

    __slots__ = ("_kind", "_known", "_request")

    def __init__(self, kind: Kind, request: AccessRequest) -> None:
        self._kind = kind
        self._request = request
        self._known: dict[int, bool | None] = {}

    def shows(self, resource: Resource) -> bool:
        """Tell whether a thing is shown."""
        request = self._request if resource is self._request.resource else replace(self._request, resource=resource)
        could_open = False
        credentials: set[str] = set()
        for candidate in self._kind.about(request):
            rule = candidate.rule
            if rule.shadow or rule.effect is Effect.MASK:
                continue
            matches = self._matches(candidate, request)
            if matches is False:
                continue
            if rule.effect is Effect.DENY:
                if matches:
                    return False
                continue
            could_open = True
            if matches and rule.credential:
                credentials.add(rule.credential)
        return could_open and len(credentials) <= 1

    def _matches(self, candidate: Candidate, request: AccessRequest) -> bool | None:
        # None: it depends on the arguments.
        number = candidate.number
        if number in self._known:
            return self._known[number]
        condition = candidate.condition
        found: bool | None
        if not candidate.fits_caller(request):
            found = False
        elif candidate.tests.arguments or (condition is not None and condition.reads_arguments):
            found = None
        elif condition is None:
            found = True
        else:
            said = outcome(condition, Facts(request, condition.reads, condition.keys))
            found = candidate.rule.effect is not Effect.ALLOW if isinstance(said, str) else said
            if condition.reads_resource:
                return found
        self._known[number] = found
        return found


def shows_each(kind: Kind, request: AccessRequest, resources: Iterable[Resource]) -> list[bool]:
    """Tell of each thing whether it is shown."""
    viewer = Viewer(kind, request)
    return [viewer.shows(resource) for resource in resources]
