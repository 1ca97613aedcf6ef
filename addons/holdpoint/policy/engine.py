"""Decide: deny wins over hold, hold over allow, and what nothing permits is denied.

Order never counts. A condition that cannot be evaluated makes a deny, hold or mask rule match and an allow rule not;
silence never approves a hold that matched for that reason.
"""

import logging
from collections.abc import Sequence

from holdpoint.domain.access import AccessRequest, Protocol, Resource
from holdpoint.domain.decision import Decision, Deny, DenyReason
from holdpoint.domain.prospect import Prospect
from holdpoint.policy.bundle import Bundle
from holdpoint.policy.index import Kind, index_target
from holdpoint.policy.legs import combine_legs, each_leg
from holdpoint.policy.members import combine
from holdpoint.policy.prospects import prospect, together
from holdpoint.policy.tally import Tally
from holdpoint.policy.verbs import BATCH
from holdpoint.policy.visibility import Viewer

logger = logging.getLogger(__name__)


class Engine:
    """A bundle, indexed by target and kind of resource. Remembers names, and nothing else of requests.

    Safe to share between threads.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._targets: dict[str, tuple[Protocol, dict[type[Resource], Kind]]] = {
            target: (protocol, index_target(bundle, target, protocol)) for target, protocol in bundle.targets.items()
        }

    def decide(self, request: AccessRequest) -> Decision:
        """Answer a request. Never raises: what goes wrong in here is a Deny.

        A request with members passes if each of them does. They are decided one by one, and what they travel in too,
        unless it is a batch, which is nothing but its members. The answer holds that of each member, in order.

        A principal with legs is allowed what each leg is allowed too.
        """
        try:
            return self._with_legs(request) if request.principal.legs else self._whole(request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the answer is no
            return self._failed(f"the engine failed: {type(error).__name__}")

    def prospect(self, request: AccessRequest) -> Prospect:
        """Tell what could come of a request of which only caller, verb and resource are known. Never raises."""
        try:
            return together([self._prospect(one) for one in each_leg(request)])
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing is promised
            logger.error("a prospect could not be told: %s", type(error).__name__)  # noqa: TRY400  # no values in logs
            return Prospect()

    def visible(self, request: AccessRequest) -> bool:
        """Tell whether a list shows the resource of a request, whose arguments count as unknown. Never raises.

        It is shown if some allow or hold rule could match for some arguments, and no deny rule does for all. Scopes
        that the token lacks do not hide: the caller learns of them by trying.
        """
        return self.visible_many(request, (request.resource,))[0]

    def visible_many(self, request: AccessRequest, resources: Sequence[Resource]) -> list[bool]:
        """Tell the same of each of several resources, in order; that of the request itself does not count."""
        try:
            shown = [True] * len(resources)
            for one in each_leg(request):
                viewers: dict[type[Resource], Viewer] = {}
                shown = [
                    yet and self._shows(one, resource, viewers) for yet, resource in zip(shown, resources, strict=True)
                ]
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing is shown
            logger.error("a list could not be filtered: %s", type(error).__name__)  # noqa: TRY400  # no values in logs
            return [False] * len(resources)
        return shown

    def _shows(self, request: AccessRequest, resource: Resource, viewers: dict[type[Resource], Viewer]) -> bool:
        viewer = viewers.get(type(resource))
        if viewer is None:
            kind = None if request.members else self._kind(request, resource)
            if kind is None:
                return False
            viewer = viewers[type(resource)] = Viewer(kind, request)
        return viewer.shows(resource)

    def _kind(self, request: AccessRequest, resource: Resource) -> Kind | None:
        entry = self._targets.get(request.target)
        if entry is None or entry[0] is not request.action.protocol:
            return None
        return entry[1].get(type(resource))

    def _decide(self, request: AccessRequest) -> Decision:
        kind = self._kind(request, request.resource)
        if kind is None:
            return Deny(DenyReason.NO_RULE, bundle=self.bundle.hash)
        return Tally(request, kind.matching(request), self.bundle.lists).decision(self.bundle.hash)

    def _prospect(self, request: AccessRequest) -> Prospect:
        kind = None if request.members else self._kind(request, request.resource)
        return Prospect() if kind is None else prospect(kind, request, self.bundle.lists)

    def _whole(self, request: AccessRequest) -> Decision:
        if request.members or request.action.verb == BATCH:
            return self._together(request)
        return self._decide(request)

    def _with_legs(self, request: AccessRequest) -> Decision:
        # Each leg asks for the same on its own: what travels together belongs to it in its own request.
        decided = [(one.principal, self._whole(one)) for one in each_leg(request)]
        return combine_legs(self.bundle.hash, decided)

    def _together(self, request: AccessRequest) -> Decision:
        if not request.members:
            return self._failed("a batch of no messages")
        for member in request.members:
            if member.members or member.action.verb == BATCH:
                return self._failed("messages that travel together within others")
            if not _belongs(member, request):
                return self._failed("messages that travel together are not of one caller to one target")
        members = tuple(self._decide(member) for member in request.members)
        carrier = () if request.action.verb == BATCH else (self._decide(request),)
        return combine(self.bundle.hash, (*members, *carrier), members)

    def _failed(self, wrong: str) -> Deny:
        return Deny(DenyReason.EVALUATION_ERROR, bundle=self.bundle.hash, errors=(wrong,))


def _belongs(member: AccessRequest, request: AccessRequest) -> bool:
    return (
        member.target == request.target
        and member.action.protocol is request.action.protocol
        and (member.principal is request.principal or member.principal == request.principal)
    )
