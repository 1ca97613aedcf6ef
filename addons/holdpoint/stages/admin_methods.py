"""What the console and the command line may ask of the gateway, and what is written down when they do.

Whoever reaches the socket is the gateway's own user; that alone decides nothing. Everything about approvals also needs
the reviewer's own ID token, which is verified here for every call.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from holdpoint import __version__
from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import Handler
from holdpoint.approvals.errors import AlreadyResolved, NotAllowed, NotFound
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.wire_form import to_json
from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, DryRunState, Reviewer, Verdict, reviewer_names
from holdpoint.domain.refusal import ConfigError, Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.settings import Settings
from holdpoint.stages.broker_events import STAGES, describe_event
from holdpoint.stages.evidence import Evidence
from holdpoint.stages.grant_methods import GrantMethods
from holdpoint.stages.live import GRANT_OVER
from holdpoint.stages.notice_methods import NoticeMethods
from holdpoint.stages.page_filters import may_see, page_wanted
from holdpoint.stages.pin_methods import PinMethods
from holdpoint.stages.preview_methods import PreviewMethods
from holdpoint.stages.preview_readers import shown_to
from holdpoint.stages.principal_methods import PrincipalMethods
from holdpoint.stages.reasons import masked_words
from holdpoint.stages.review_methods import ReviewMethods
from holdpoint.stages.session_methods import SessionMethods
from holdpoint.stages.stream_methods import StreamMethods
from holdpoint.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from holdpoint.stages.services import Services

logger = logging.getLogger(__name__)

WAIT_CHANGE = 25.0
"""Seconds after which a long poll returns without a change."""
CONSOLE_AWAY = 40.0
"""Seconds without a sign of a console after which reviewers count as out of reach. One that lives asks again as soon as
it was answered, and at the latest after WAIT_CHANGE."""
_MAX_PAGE = 500
_EXPLAINED = ("id", "state", "rules", "reasons", "created_at", "deadline", "resolution", "resolved_at")


class AdminMethods:
    """The methods of the admin socket."""

    def __init__(self, settings: Settings, clock: Clock, reload: Callable[[], Awaitable[str]], audit: AuditLog) -> None:
        self._settings = settings
        self._audit = audit
        self._clock = clock
        self._reload = reload
        self._services: Services | None = None
        self._seen: float | None = None
        self._logins = login_clients(settings)
        self._evidence = Evidence(settings, clock, self._logins)
        self.principals = PrincipalMethods(self)

    def attach(self, services: "Services") -> None:
        """Name the services that the methods speak for."""
        self._services = services

    @property
    def services(self) -> "Services":
        """The services. Raises AdminError while they are not up."""
        if self._services is None:
            raise AdminError("unavailable", "the gateway is starting")
        return self._services

    def console_seen(self) -> bool:
        """Tell whether a console asked lately, so that reviewers could object."""
        return self._seen is not None and self._clock.monotonic() - self._seen < CONSOLE_AWAY

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {
            "approvals.list": self._list,
            "approvals.get": self._get,
            "approvals.decide": self._decide,
            "approvals.wait_change": self._wait_change,
            "explain": self._explain,
            "policy.reload": self._reload_policies,
            "status": self._status,
            **NoticeMethods(self).table(),
            **PinMethods(self).table(),
            **PreviewMethods(self).table(),
            **ReviewMethods(self).table(),
            **SessionMethods(self).table(),
            **StreamMethods(self).table(),
            **PrincipalMethods(self).table(),
            **GrantMethods(self).table(),
        }

    async def on_broker_event(self, event: BrokerEvent) -> None:
        """Write down what happened to an approval, before anybody who waits for it hears of it."""
        if event.kind is BrokerEventKind.GRANT_ENDED and event.request is not None and self._services is not None:
            ended, why = event.request.id, Refusal(RefusalKind.EXPIRED, GRANT_OVER, detail=event.detail)
            self._services.live.end_where(lambda stream: stream.approval == ended, why)
            self._services.running.bar_streams(ended, why)
        stage = STAGES.get(event.kind)
        if stage is None or event.elsewhere:
            return  # held and folded requests are written down by the stage that holds them
        try:
            await self._audit.append(describe_event(event, stage, self._clock.now()))
        except RecorderUnavailable:
            logger.exception("`%s` of an approval was not written down", event.kind.value)

    async def reviewer(self, params: JsonObject) -> Reviewer:
        """Return who the ID token in `params` belongs to. Raises AdminError."""
        token = as_text(params.get("id_token"))
        if not token:
            raise AdminError("unauthenticated", "log in first")
        # Client ids belong to their issuer: another issuer's client of the same name is somebody else.
        failure: Refusal | None = None
        for issuer, clients in self._logins.items():
            try:
                found = await self.services.verifier.verify_reviewer(
                    token,
                    client_ids=clients,
                    issuers=frozenset({issuer}),
                    max_age=self._settings.reviewers.max_age,
                )
            except Refusal as refusal:
                if failure is None or refusal.kind is RefusalKind.UNAVAILABLE:
                    failure = refusal
            else:
                self._refuse_suspended(found)
                # A role is nobody's to lend: who stands in for an admin is none.
                own = reviewer_names(replace(found, acting_for=frozenset()))
                lent = self.services.policies.delegations.acting_for(found.person, found.groups, self._clock.now())
                return replace(found, roles=self._settings.reviewers.roles.of(own), acting_for=lent)
        if failure is None:
            raise AdminError("unauthenticated", "no issuer in the settings offers a login for reviewers")
        code = "unavailable" if failure.kind is RefusalKind.UNAVAILABLE else "unauthenticated"
        raise AdminError(code, failure.public) from failure

    def barred(self, reviewer: Reviewer) -> str:
        """Say why somebody may decide nothing at all right now, or return an empty string."""
        found = self._services.suspensions.of_reviewer(reviewer) if self._services is not None else None
        return found.public if found is not None else ""

    def _refuse_suspended(self, reviewer: Reviewer) -> None:
        if why := self.barred(reviewer):
            raise AdminError("not_allowed", why)

    async def _list(self, params: JsonObject) -> JsonValue:
        reviewer = await self.reviewer(params)
        limit = params.get("limit")
        limit = min(limit, _MAX_PAGE) if isinstance(limit, int) and limit > 0 else 100
        broker, wanted = self.services.broker, page_wanted(params, reviewer)
        found = await self._stored(broker.list(wanted=wanted, limit=limit, before=as_text(params.get("before"))))
        shown = [shown_to(self.services, reviewer, r) for r in found if may_see(reviewer, r)]
        return {"requests": [*shown], "version": broker.version}

    async def _get(self, params: JsonObject) -> JsonValue:
        reviewer = await self.reviewer(params)
        found = await self.find(as_text(params.get("id")), reviewer)
        return shown_to(self.services, reviewer, found)

    async def _decide(self, params: JsonObject) -> JsonValue:
        reviewer = await self.reviewer(params)
        approval_id, expect = as_text(params.get("id")), as_text(params.get("expect"))
        if not expect:
            raise AdminError("bad_request", "say which intent you read (`expect`)")
        try:
            verdict = Verdict(as_text(params.get("verdict")))
        except ValueError:
            raise AdminError("bad_request", "the verdict is `approve` or `deny`") from None
        found = await self.find(approval_id, reviewer)
        if found.ask.intent != expect:
            raise AdminError("changed", "the request is not the one that was read")
        preview = as_text(params.get("preview"))
        if verdict is Verdict.APPROVE and not preview and found.dry_run.state is not DryRunState.NONE:
            raise AdminError("bad_request", "say which preview you read (`preview`)")
        comment = as_text(params.get("comment"))
        if masked_words(self.services, found.ask.access, comment) != comment:
            # Not masked: a signature may be over these very words.
            raise AdminError("bad_request", "the comment seems to hold a secret: take it out, then decide again")
        proof = await self._evidence.proof(params, found, reviewer, verdict, self.services.verifier)
        try:
            voted = await self._stored(
                self.services.broker.vote(
                    approval_id,
                    reviewer,
                    verdict,
                    comment,
                    expect=expect,
                    preview=preview or None,
                    proof=proof,
                )
            )
        except (NotAllowed, AlreadyResolved, NotFound) as error:
            raise AdminError(error.code, str(error)) from error
        return shown_to(self.services, reviewer, voted)

    async def _wait_change(self, params: JsonObject) -> JsonValue:
        if params.get("console") is not False:
            self._seen = self._clock.monotonic()
        since = params.get("since")
        version = await self.services.broker.wait_change(since if isinstance(since, int) else 0, timeout=WAIT_CHANGE)
        return {"version": version}

    async def _explain(self, params: JsonObject) -> JsonValue:
        wanted = as_text(params.get("id"))
        record = await self._stored(self.services.store.refusal(wanted))
        if record is not None:
            return {
                "id": record.id,
                "at": record.at,
                "kind": record.kind,
                "public": record.public,
                "detail": record.detail,
                "principal": record.principal,
                "target": record.target,
                "rules": [*record.rules],
            }
        try:
            found = to_json(await self._stored(self.services.broker.get(wanted)))
        except NotFound:
            raise AdminError("not_found", f"nothing is known of `{wanted}`") from None
        # Nobody logged in for this: how it stands, and not what was asked.
        return {"approval": {name: found[name] for name in _EXPLAINED}}

    async def _reload_policies(self, params: JsonObject) -> JsonValue:
        _ = params
        try:
            return {"bundle": await self._reload()}
        except ConfigError as error:
            raise AdminError("bad_policy", f"{error}; the old policies stay in force") from error

    async def _status(self, params: JsonObject) -> JsonValue:
        _ = params
        services = self.services
        return {
            "version": __version__,
            "bundle": services.policies.bundle.hash,
            "healthy": services.healthy,
            "problem": services.audit.problem,
            "held": services.broker.held,
            "events": services.audit.size,
            "issuers_unavailable": {**services.verifier.unavailable()},
        }

    async def find(self, approval_id: str, reviewer: Reviewer) -> ApprovalRequest:
        """Return a request that somebody may see. Raises AdminError, in the same words where there is none."""
        try:
            found = await self._stored(self.services.broker.get(approval_id))
        except NotFound:
            found = None
        if found is None or not may_see(reviewer, found):
            raise AdminError("not_found", "there is no such approval request")
        return found

    async def _stored[T](self, work: Awaitable[T]) -> T:
        try:
            return await work
        except StoreUnavailable as error:
            raise AdminError("unavailable", str(error)) from error


def login_clients(settings: Settings) -> dict[str, frozenset[str]]:
    """Return, by issuer, the clients at which a reviewer's ID token may have been obtained."""
    clients: dict[str, frozenset[str]] = {}
    for issuer in settings.issuers:
        if settings.reviewers.issuers and issuer.name not in settings.reviewers.issuers:
            continue
        named = {issuer.login_client_id} if issuer.login_client_id else set[str]()
        if settings.console is not None and settings.console.issuer == issuer.name:
            named.add(settings.console.client_id)
        if named:
            clients[issuer.name] = frozenset(named)
    return clients
