"""What the gateway does is told to people: the services around the notices, and which refusals are worth a word."""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

from holdpoint.approvals.events import BrokerEvent
from holdpoint.approvals.notify import Notifier
from holdpoint.approvals.notify_counts import Happened
from holdpoint.approvals.notify_senders import open_senders
from holdpoint.approvals.slack_actions import SlackActions, read_apps
from holdpoint.clock import Clock
from holdpoint.domain.access import McpTool, PinState
from holdpoint.domain.audit import AuditEvent
from holdpoint.domain.exchange import Identified, Received, Refused, decoded
from holdpoint.domain.notice import NoticeEvent
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.suspension import SUSPENDED
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.settings import Settings
from holdpoint.stages import describe
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.guarding import MATCHED
from holdpoint.store.protocol import Store

logger = logging.getLogger(__name__)

_ODD_PINS: Final = frozenset({PinState.CHANGED, PinState.RENAMED, PinState.DUPLICATE, PinState.HIDDEN})


def open_notices(settings: Settings, store: Store, clock: Clock, audit: AuditLog) -> tuple[Notifier, SlackActions]:
    """Make what tells people, and what hears what they press. Nothing is sent yet. Raises ConfigError."""
    sinks, console = settings.notices, settings.console

    def link(approval_id: str) -> str:
        return f"{console.url}/requests/{approval_id}" if console and approval_id else ""

    def write(event: AuditEvent) -> None:
        try:
            audit.submit(event)
        except RecorderUnavailable as error:
            logger.error("that notice `%s` ended was not written: %s", event.detail.get("notice"), error)  # noqa: TRY400  # its own words

    notifier = Notifier(
        sinks,
        open_senders(sinks, os.environ, source=settings.listeners[0].url),
        store,
        clock,
        link=link,
        audit=write,
        healthy=lambda: audit.healthy,
    )
    return notifier, SlackActions(read_apps(sinks, os.environ), clock)


def told(
    first: Callable[[BrokerEvent], Awaitable[None]], notices: Notifier
) -> Callable[[BrokerEvent], Awaitable[None]]:
    """Return what tells people of an event once it is written down."""

    async def tell(event: BrokerEvent) -> None:
        try:
            await first(event)
        finally:
            notices.on_event(event)

    return tell


def note_refusal(notices: Notifier, exchange: Exchange, refusal: Refusal) -> None:
    """Tell of a refusal, where somebody wants to hear of such."""
    if not notices.wants(NoticeEvent.DENIED) and not notices.wants(NoticeEvent.VIOLATION):
        return
    what = _violation(exchange, refusal)
    if not what and (exchange.denied is None or refusal.kind is not RefusalKind.DENIED):
        return
    who = describe.who_asks(exchange.state)
    notices.count(
        Happened(
            NoticeEvent.VIOLATION if what else NoticeEvent.DENIED,
            target=exchange.target.name if exchange.target else "",
            what=what,
            who=(who.person or who.subject) if who else "",
            rules=tuple(str(r) for r in exchange.denied.rules) if exchange.denied else (),
            exchange=exchange.id,
        )
    )


def _violation(exchange: Exchange, refusal: Refusal) -> str:
    """Say what a refusal is, where it is more than a no."""
    if refusal.kind is RefusalKind.FAULT:
        return "the gateway itself failed"
    if refusal.kind is RefusalKind.WITHHELD:
        return "an answer matched a guard" if refusal.public == MATCHED else ""
    if refusal.kind is not RefusalKind.DENIED:
        return ""
    state = exchange.state
    reached = state.reached if isinstance(state, Refused) else state
    if refusal.public.startswith(SUSPENDED):
        # What was under way then ended with the suspension, of which people are told.
        return "somebody who is suspended tried again" if isinstance(reached, Identified) else ""
    if reached is None or isinstance(reached, Received):
        return "it is not of a kind that is served"
    asked = decoded(state)
    for access in (asked.access, *asked.access.members) if asked is not None else ():
        if isinstance(access.resource, McpTool) and access.resource.pin in _ODD_PINS:
            return f"the definition of a tool is {access.resource.pin.value}"
    return ""
