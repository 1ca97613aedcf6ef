"""What policy says to a server's messages: questions to the client, notices, entries of lists."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from holdpoint.domain.access import AccessRequest, Action, McpMethod, McpResource, McpServerRequest, McpTool, Protocol
from holdpoint.domain.access import Resource as AnyResource
from holdpoint.domain.decision import Deny, DenyReason, GuardAnswer, Permit
from holdpoint.domain.values import JsonMapping, JsonValue
from holdpoint.protocols.jsonrpc import Notification
from holdpoint.protocols.mcp_answers import Question
from holdpoint.settings import Target, TargetMode
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.guarding import check_value
from holdpoint.stages.services import Services
from holdpoint.stages.task_duties import duties_of

logger = logging.getLogger(__name__)

_MOST_NOTES = 50
_FREE = frozenset({"ping"})
"""What a server may ask without leave: it tells it no more than that somebody is there."""
_RESOURCE_CHANGED = "notifications/resources/updated"


@dataclass(frozen=True, slots=True)
class Asking:
    """Decides on what comes in one exchange, for its caller."""

    services: Services
    exchange: Exchange
    target: Target
    access: AccessRequest

    @property
    def observes(self) -> bool:
        """Whether denials are only noted."""
        return self.target.mode is TargetMode.OBSERVE

    def note(self, text: str) -> None:
        """Write something down, once, for the audit and the log."""
        if text not in self.exchange.notes and len(self.exchange.notes) < _MOST_NOTES:
            self.exchange.notes.append(text)
            logger.warning("%s %s", self.exchange.id, text)

    def denied(self, questions: Sequence[Question], message: JsonValue) -> tuple[str | None, JsonValue]:
        """Ask policy about questions to the client.

        Returns why they may not pass, or None; and the message, masked as the rules that let it pass demand.
        """
        denied: list[Deny] = []
        methods: set[str] = set()
        for question in questions:
            if question.method in _FREE:
                continue
            decision = self._decide(question.method, McpServerRequest(question.method), question.params)
            if isinstance(decision, Deny):
                denied.append(decision)
                methods.add(question.method)
            else:
                message = self._with_duties(decision, message)
        if not denied:
            return None, message
        asked = ", ".join(sorted(methods))
        if self.observes:
            self.note(f"would withhold what the server asked of the client: {asked}")
            return None, message
        self.note(f"withheld what the server asked of the client: {asked}")
        reasons = dict.fromkeys(d.message for d in denied if d.message)
        return "; ".join(["the server asked the client for something that is not allowed", *reasons]), message

    def lets_notice(self, notice: Notification, message: JsonValue) -> tuple[bool, JsonValue]:
        """Tell whether a notice may pass, and return it, masked as rules demand.

        Notices pass unless a rule denies them; and one about a resource only to who may read it.
        """
        decision = self._decide(notice.method, McpMethod(), notice.params)
        if isinstance(decision, Permit):
            message = self._with_duties(decision, message)
        elif decision.reason is DenyReason.RULE or decision.rules:
            return self._withheld(f"a notice, {notice.method}"), message
        if notice.method == _RESOURCE_CHANGED:
            uri = notice.params.get("uri")
            if not isinstance(uri, str) or isinstance(self._decide("resources/read", McpResource(uri), {}), Deny):
                return self._withheld("a notice of a resource that the caller may not read"), message
        return True, message

    def shows(self, verb: str, resources: Sequence[AnyResource]) -> Sequence[bool]:
        """Tell which of the things in a list the caller may use, by that verb."""
        pinned = [self._pinned(r) for r in resources]
        return self.services.policies.engine.visible_many(self._access(verb, McpMethod(), {}), pinned)

    def _pinned(self, resource: AnyResource) -> AnyResource:
        if not isinstance(resource, McpTool):
            return resource
        return replace(resource, pin=self.services.pins.state(self.target.name, resource.name))

    def _withheld(self, what: str) -> bool:
        self.note(f"would withhold {what}" if self.observes else f"withheld {what}")
        return self.observes

    def _decide(self, verb: str, resource: AnyResource, arguments: JsonMapping) -> Permit | Deny:
        return self.services.policies.engine.decide(self._access(verb, resource, arguments))

    def _access(self, verb: str, resource: AnyResource, arguments: JsonMapping) -> AccessRequest:
        access = self.access
        return AccessRequest(
            principal=access.principal,
            target=access.target,
            action=Action(Protocol.MCP, verb),
            resource=resource,
            arguments=arguments,
            unverified=access.unverified,
            at=self.services.clock.now(),
        )

    def as_tasks(self, tasks: Sequence[str], message: JsonValue) -> JsonValue:
        """Return what is said of tasks, held to what their calls were. Raises Refusal where a guard matches."""
        duties = duties_of(self.services.handles, self.target.name, tasks, self.services.policies.every_mask)
        return self._held_to(sorted(duties.masks), duties.guards, message)

    def _with_duties(self, permit: Permit, message: JsonValue) -> JsonValue:
        guards = tuple(o for o in permit.obligations if isinstance(o, GuardAnswer))
        return self._held_to(permit.masks, guards, message)

    def _held_to(self, masks: Sequence[str], guards: tuple[GuardAnswer, ...], message: JsonValue) -> JsonValue:
        """Meet duties that this exchange does not have anyway. Raises Refusal where a guard matches."""
        more = tuple(name for name in masks if name not in self.exchange.masks)
        if more:
            message = self.services.policies.masker(more).mcp(message).value
        check_value(guards, message)
        return message
