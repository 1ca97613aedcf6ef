"""Everything with a life of its own that the stages use: brought up in order, closed in reverse."""

import asyncio
import logging
from dataclasses import dataclass, field, replace

from mitmproxy import http

from holdpoint import __version__
from holdpoint.admin.server import AdminServer
from holdpoint.approvals.broker import Broker
from holdpoint.approvals.errors import GrantSpent
from holdpoint.approvals.notify import Notifier
from holdpoint.approvals.recorded import ask_detail
from holdpoint.approvals.slack_actions import SlackActions
from holdpoint.clock import Clock
from holdpoint.credentials.of_targets import Credentials
from holdpoint.domain.access import Principal
from holdpoint.domain.approval import ApprovalRequest
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.exchange import decoded
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import ConfigError, GatewayFault, Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.identity.calls import Calls
from holdpoint.identity.verify import Verifier
from holdpoint.limits import RateLimiter
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.recording.scrub import ConnectionStates
from holdpoint.recording.sessions import Sessions
from holdpoint.recording.writer import Recorder
from holdpoint.seals import Seals
from holdpoint.settings import Settings
from holdpoint.stages import describe, noticing
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.handles import Handles
from holdpoint.stages.ladder_calls import HeldCalls
from holdpoint.stages.lately import Lately
from holdpoint.stages.linked import end_with_calls
from holdpoint.stages.linked_history import LinkedHistory
from holdpoint.stages.live import LiveStreams
from holdpoint.stages.policies import Policies, load_policies
from holdpoint.stages.previewing import Previews
from holdpoint.stages.questions import Questions
from holdpoint.stages.running import Running
from holdpoint.stages.suspensions import LOOK_EVERY, Suspensions
from holdpoint.stages.tool_pins import ToolPins
from holdpoint.store.protocol import RefusalRecord
from holdpoint.store.sql import SqlStore
from holdpoint.tasks import spawn
from holdpoint.telemetry.meters import Meters

logger = logging.getLogger(__name__)


@dataclass
class Services:
    """What the stages call. One set for each gateway, from start to stop."""

    settings: Settings
    clock: Clock
    digest_key: bytes = field(repr=False)
    policies: Policies
    verifier: Verifier
    credentials: Credentials
    calls: Calls
    """Tool calls under way that may bring requests to a cluster."""
    audit: AuditLog
    recorder: Recorder
    store: SqlStore
    broker: Broker
    sessions: Sessions
    notices: Notifier
    slack: SlackActions
    pins: ToolPins = field(init=False)
    held: HeldCalls = field(default_factory=HeldCalls)
    lately: Lately = field(default_factory=Lately)
    handles: Handles = field(init=False)
    previews: Previews = field(init=False)
    history: LinkedHistory = field(default_factory=LinkedHistory)
    questions: Questions = field(default_factory=Questions)
    live: LiveStreams = field(init=False)
    running: Running = field(default_factory=Running)
    suspensions: Suspensions = field(init=False)
    seals: Seals = field(init=False)
    rates: RateLimiter = field(default_factory=RateLimiter)
    meters: Meters = field(default_factory=Meters)
    admin: AdminServer | None = None
    connections: ConnectionStates = field(default_factory=ConnectionStates)
    _leaving: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    def __post_init__(self) -> None:
        self.seals = Seals(self.digest_key, self.clock)
        self.handles = Handles(self.store, self.clock)
        self.live = LiveStreams(self.clock)
        self.previews = Previews(self)
        self.suspensions = Suspensions(self.store, self.clock, look_every=LOOK_EVERY if self.store.shared else 0.0)
        self.store.listen(self.suspensions.heard)
        end_with_calls(self.calls, self.live)
        self.pins = ToolPins(self.settings, self.store, self.audit, self.clock)

    @property
    def healthy(self) -> bool:
        """Whether records can be written."""
        return self.audit.healthy

    def session(self, principal: Principal, target: str, protocol_session: str) -> Session:
        """Return the recorded session that a request belongs to."""
        return self.sessions.session_for(principal.id, target, protocol_session, self.clock.now())

    def link(self, approval_id: str) -> str:
        """Return where reviewers look at an approval request. Leads to a login."""
        console = self.settings.console
        return f"{console.url}/requests/{approval_id}" if console else ""

    def watch_client(self, exchange_id: str) -> asyncio.Event:
        """Return an event that is set when the caller of an exchange leaves."""
        return self._leaving.setdefault(exchange_id, asyncio.Event())

    def unwatch_client(self, exchange_id: str) -> None:
        """Forget the event."""
        self._leaving.pop(exchange_id, None)

    def client_left(self, exchange_id: str) -> None:
        """Set the event."""
        if event := self._leaving.get(exchange_id):
            event.set()

    async def append(self, event: AuditEvent) -> None:
        """Write an event and wait until it is durable. Raises Refusal where it cannot be: no record, no access."""
        try:
            await self.audit.append(event)
        except RecorderUnavailable as error:
            raise Refusal(
                RefusalKind.UNAVAILABLE, "the gateway cannot write records", detail=str(error), retry_after=5
            ) from error

    def submit(self, event: AuditEvent) -> None:
        """Write an event that nobody waits for."""
        try:
            self.audit.submit(event)
        except RecorderUnavailable as error:
            logger.error("audit event `%s` of `%s` was not written: %s", event.stage.value, event.exchange, error)  # noqa: TRY400  # its own words

    def note_refusal(self, exchange: Exchange, refusal: Refusal) -> None:
        """Keep why a request was turned away, for `holdpoint explain`."""
        who = describe.who_asks(exchange.state)
        ruled = describe.permitted(exchange.state)
        rules = exchange.denied.rules if exchange.denied else ruled.decision.rules if ruled else ()
        record = RefusalRecord(
            id=exchange.id,
            at=self.clock.now(),
            kind=refusal.kind.value,
            public=refusal.public,
            detail=refusal.detail,
            exchange=exchange.id,
            principal=who.id if who else "",
            target=exchange.target.name if exchange.target else "",
            rules=tuple(str(r) for r in rules),
        )
        noticing.note_refusal(self.notices, exchange, refusal)
        if not self.store.submit_refusal(record):
            logger.warning("refusal `%s` cannot be explained later: the store is closed or overrun", record.id)

    def note_held(self, exchange: Exchange, request: ApprovalRequest, reason: str = "") -> None:
        """Write down that a request waits, and why this caller asks, by its own word."""
        detail: JsonObject = {
            "approval": request.id,
            "intent": request.ask.intent,
            "rules": [str(t.rule) for t in request.ask.terms],
            "deadline": request.deadline,
            **ask_detail(request),
        }
        if reason:
            detail["reason"] = reason
        masker = self.policies.keeper(exchange.masks, exchange.target)
        self.submit(describe.event(exchange, AuditStage.HELD, at=self.clock.now(), detail=detail, masker=masker))
        logger.info("held %s: %s %s", exchange.id, request.id, self.link(request.id))

    def record(self, flow: http.HTTPFlow, exchange: Exchange, event: AuditEvent) -> None:
        """Write the flow record and the event that vouches for it."""
        session = exchange.session
        if session is None:
            who, asked = describe.who_asks(exchange.state), decoded(exchange.state)
            # One that got so far as to be decoded is the caller's own.
            own = asked.session if asked else ""
            session = self.sessions.session_for(who.id if who else "", event.target, own, self.clock.now())
        masker = self.policies.keeper(exchange.masks, exchange.target)
        state = describe.flow_record(
            flow,
            exchange,
            event,
            masker,
            session=session.id,
            connections=self.connections,
            websocket=exchange.tunnel.messages() if exchange.tunnel is not None else None,
        )
        try:
            self.recorder.record_answer(session, state, replace(event, session=session.id))
        except RecorderUnavailable as error:
            logger.error("exchange `%s` was not recorded: %s", exchange.id, error)  # noqa: TRY400  # its own words

    # Grants

    def settle(self, grant: Grant | None, exchange: Exchange, *, sent: bool, answered: bool) -> None:
        """Note what became of the dispatch under a grant: answered, unknown, or never sent."""
        if grant is not None:
            spawn(self._settle(grant, exchange, sent=sent, answered=answered), name="settle grant")

    async def _settle(self, grant: Grant, exchange: Exchange, *, sent: bool, answered: bool) -> None:
        try:
            if not sent:
                await self.broker.release(grant.id, exchange.id)
                if exchange.over is not None:
                    # Taken for dispatch, it was not among those that ended with what allowed them.
                    await self.broker.end_grant(grant.id, GrantState.REVOKED, exchange.over.public)
            else:
                await self.broker.settle(
                    grant.id, GrantState.ANSWERED if answered else GrantState.UNKNOWN, exchange=exchange.id
                )
        except (GatewayFault, GrantSpent) as error:
            # Tried again while the gateway runs; after its end, another or the next one calls the outcome unknown.
            logger.error("outcome of grant `%s` is not stored: %s", grant.id, error)  # noqa: TRY400

    # Life

    async def reload(self) -> str:
        """Load policies and pin files, switch to them, decide again what is held.

        Raises ConfigError: nothing changed.
        """
        before = self.policies
        try:
            fresh = await asyncio.to_thread(load_policies, self.settings, self.digest_key)
            pin_files = await asyncio.to_thread(self.pins.read_files)
        except ConfigError as error:
            detail: JsonObject = {"from": before.bundle.hash, "refused": str(error)}
            self.submit(AuditEvent(AuditStage.RELOADED, self.clock.now(), detail=detail))
            raise
        await self.audit_reload(before.bundle.hash, fresh.bundle.hash)
        self.policies = fresh
        self.pins.use_files(pin_files)
        # Nothing is awaited since the switch: not one more event passes under what held until now.
        ended = self.live.redecide(before, fresh, self.settings.targets)
        changes = await self.broker.redecide(fresh.engine.decide)
        touched = len(changes.withdrawn) + len(changes.tightened) + len(changes.revoked)
        told = "policies reloaded: %s; %d held requests and grants changed, %d streams ended"
        logger.info(told, fresh.bundle.hash, touched, ended)
        return fresh.bundle.hash

    async def audit_reload(self, old: str, new: str) -> None:
        """Write down a change of policy before it takes effect."""
        event = AuditEvent(AuditStage.RELOADED, self.clock.now(), detail={"from": old, "to": new})
        try:
            await self.audit.append(event)
        except RecorderUnavailable as error:
            raise ConfigError(f"the change cannot be recorded, so it is not made: {error}") from error

    async def announce_start(self) -> None:
        """Write down that the gateway starts, and under which policies."""
        detail: JsonObject = {
            "version": __version__,
            "bundle": self.policies.bundle.hash,
            "targets": [{"name": t.name, "mode": t.mode.value} for t in self.settings.targets],
        }
        try:
            await self.audit.append(AuditEvent(AuditStage.STARTED, self.clock.now(), detail=detail))
        except RecorderUnavailable as error:
            raise ConfigError(f"the start cannot be recorded: {error}") from error

    async def close(self) -> None:
        """Stop everything, the audit log last."""
        if self.admin is not None:
            await self.admin.close()
        await self.suspensions.close()
        await self.live.close()
        await self.previews.close()
        await self.broker.close()
        await self.notices.close()
        await self.verifier.close()
        await asyncio.to_thread(self.meters.close)
        self.submit(AuditEvent(AuditStage.STOPPED, self.clock.now()))
        await self.store.close()
        await asyncio.to_thread(self.audit.close)
