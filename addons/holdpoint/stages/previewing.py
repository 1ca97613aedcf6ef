"""What a held request would change, found out while it waits: never before it is held, and never in its way.

A target opts in by a credential named `preview`. What the API server answers is masked before anybody keeps it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from holdpoint.approvals.errors import AlreadyResolved, NotFound
from holdpoint.domain.access import AccessRequest, KubeObject, Protocol
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun, DryRunState
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.decision import Charge, Rate, RuleRef
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.limits import Caller
from holdpoint.masking.masker import Masker
from holdpoint.masking.strings import Unmaskable
from holdpoint.previews import show
from holdpoint.previews.client import Answer, Client, Upstream, said_by
from holdpoint.previews.errors import NotTried, Rejected, Trouble
from holdpoint.previews.hanging import hanging
from holdpoint.previews.kubernetes import Found, look, sealed_digest
from holdpoint.previews.listing import Send
from holdpoint.previews.requests import Asking
from holdpoint.previews.show import Masks
from holdpoint.previews.subject import Lines, Subject
from holdpoint.settings import PREVIEW, Target
from holdpoint.stages import kube_shapes
from holdpoint.stages.preview_readers import masks_of
from holdpoint.stages.sealing import masked_path
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.tasks import spawn

if TYPE_CHECKING:
    from holdpoint.stages.services import Services

logger = logging.getLogger(__name__)

WITHIN: Final = 10.0
"""Seconds for the whole of one preview."""
TO_LOOK: Final = 8.0
"""Seconds of them after which what hangs on an object is given up, line by line."""
PER_TARGET: Final = Rate(RuleRef("gateway", "previews of a target"), 120, "minute", by_tool=False)
PER_PRINCIPAL: Final = Rate(RuleRef("gateway", "previews of a principal"), 30, "minute", by_tool=False)
AT_ONCE: Final = 4
"""Previews of one target at a time."""
NO_CREDENTIAL: Final = (
    "the target has no `preview` credential: no dry run, and changes of the object before the approval are not seen"
)
_NO_TOOL: Final = "a tool of an MCP server cannot be tried beforehand"
_NO_HTTP: Final = "a request to a plain HTTP service cannot be tried beforehand"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at the cluster found: nothing of it is masked but the digest."""

    found: Found
    digest: str


class Previews:
    """One per gateway."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    def first(self, ask: Ask) -> DryRun:
        """Return what is known of a request's preview at the moment it is held: that one is made, or why none is."""
        now = self._services.clock.now()
        target = self._services.settings.target(ask.access.target)
        match target.protocol:
            case Protocol.MCP:
                lines = self._services.history.lines(ask)
                return DryRun(DryRunState.NONE, _NO_TOOL, now, {"hangs_on_it": [*lines]} if lines else {})
            case Protocol.HTTP:
                return DryRun(DryRunState.NONE, _NO_HTTP, now)
            case Protocol.KUBERNETES:
                is_there = PREVIEW in target.credentials
                return DryRun(DryRunState.PENDING, at=now) if is_there else DryRun(DryRunState.NONE, NO_CREDENTIAL, now)

    def begin(self, request: ApprovalRequest) -> None:
        """Make the preview of a request that is held and waits for one, unless that is under way."""
        is_waiting = request.state is ApprovalState.PENDING and request.dry_run.state is DryRunState.PENDING
        if is_waiting and request.id not in self._under_way:
            self._start(request)

    async def again(self, request: ApprovalRequest) -> ApprovalRequest:
        """Make the preview of a request anew. Raises AlreadyResolved, NotFound, StoreUnavailable."""
        if request.id in self._under_way:
            return request
        pending = DryRun(DryRunState.PENDING, at=self._services.clock.now())
        request = await self._services.broker.note_dry_run(request.id, pending)
        self.begin(request)
        return request

    async def resume(self) -> None:
        """Start the previews that the end of the last process cut off."""
        pending = await self._services.broker.list(states=frozenset({ApprovalState.PENDING}), limit=500)
        for listed in pending:
            if listed.dry_run.state is DryRunState.PENDING:
                # What a list leaves out of a large request is part of what is tried.
                self.begin(await self._services.broker.get(listed.id))

    async def close(self) -> None:
        """End what is under way. Requests whose preview was cut off get theirs from the next process."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self, request: ApprovalRequest, *, why: str) -> Looked:
        """Read the object and try the write, as an audited pair. Raises NotTried, Rejected, Trouble."""
        target = self._services.settings.target(request.ask.access.target)
        try:
            async with asyncio.timeout(WITHIN), self._client(request, target, why) as client:
                found = await look(request.ask.access, _said(request), client.send)
        except TimeoutError:
            raise Trouble(f"it was not done within {WITHIN:g} s") from None
        return Looked(found, sealed_digest(found, self._services.digest_key))

    # -- one preview ----------------------------------------------------------------------------------------------

    def _start(self, request: ApprovalRequest) -> None:
        task = self._under_way[request.id] = spawn(self._run(request), name="preview")
        task.add_done_callback(lambda _: self._under_way.pop(request.id, None))

    async def _run(self, request: ApprovalRequest) -> None:
        target = self._services.settings.target(request.ask.access.target)
        while (wait := self._wait(request)) > 0:
            why = f"too many previews at a time: it is tried again in {wait:.0f} s"
            if not await self._note(request, DryRun(DryRunState.FAILED, why, self._services.clock.now())):
                return
            await asyncio.sleep(wait)
        async with self._slots[target.name]:
            made = await self._made(request, target)
        await self._note(request, made)

    def _wait(self, request: ApprovalRequest) -> float:
        """Return the seconds until a preview may be made, 0 for now: then it is counted."""
        rates, access = self._services.rates, request.ask.access
        now = self._services.clock.monotonic()
        asked = (
            ((Charge(PER_TARGET, "", 1),), Caller("", "", access.target, "")),
            ((Charge(PER_PRINCIPAL, "", 1),), Caller(access.principal.id, "", "", "")),
        )
        if (longest := max(rates.wait(charges, caller, now) for charges, caller in asked)) > 0:
            return longest
        for charges, caller in asked:
            rates.take(charges, caller, now)
        return 0.0

    async def _made(self, request: ApprovalRequest, target: Target) -> DryRun:
        now, access = self._services.clock.now(), request.ask.access
        masks = self._masks(access, target)
        failed = partial(DryRun, DryRunState.FAILED, at=now)
        try:
            async with asyncio.timeout(WITHIN):
                return await self._tried(request, target, masks, now)
        except NotTried as error:
            return DryRun(DryRunState.NONE, str(error), now)
        except (Rejected, Trouble) as error:
            said = said_by(error)
            words = await asyncio.to_thread(_words, said, masks, dict(access.arguments))
            return failed(str(error) + (f": {words}" if words else ""), shown={"error": words} if words else {})
        except Unmaskable:
            return failed("what the API server answered could not be masked")
        except TimeoutError:
            return failed(f"it was not done within {WITHIN:g} s")
        except Exception:
            logger.exception("the preview of `%s` failed", request.id)
            return failed("the gateway failed while it made the preview")

    async def _tried(self, request: ApprovalRequest, target: Target, masks: Masks, now: float) -> DryRun:
        access, started = request.ask.access, self._services.clock.monotonic()
        async with self._client(request, target, "preview") as client:
            found = await look(access, _said(request), client.send)
            lines: Lines = []
            if (subject := _subject(access, found)) is not None:
                lines = await hanging(subject, _until(client.send, self._services.clock.monotonic, started + TO_LOOK))
            shown = await asyncio.to_thread(show.show, found, lines, masks)
        why = "what is done inside cannot be tried: this is what it reaches" if found.sort == "reach into" else ""
        sealed = sealed_digest(found, self._services.digest_key)
        return DryRun(DryRunState.READY, why, now, shown, sealed, found.live)

    async def _note(self, request: ApprovalRequest, dry_run: DryRun) -> bool:
        """Store what was found. False: the request is no longer pending, or nothing can be stored."""
        try:
            await self._services.broker.note_dry_run(request.id, dry_run)
        except (AlreadyResolved, NotFound):
            return False
        except StoreUnavailable as error:
            logger.error("the preview of `%s` was not stored: %s", request.id, error)  # noqa: TRY400  # its own words
            return False
        return True

    # -- its surroundings -----------------------------------------------------------------------------------------

    def _client(self, request: ApprovalRequest, target: Target, why: str) -> Client:
        services, ask = self._services, request.ask
        upstream = Upstream(target.scheme, target.host, target.port, target.path, target.ca_file)
        ids = {"exchange": ask.exchange, "approval": request.id}
        return Client(
            upstream,
            credential=lambda: services.credentials.headers(target, PREVIEW, ask.access, **ids),
            before=partial(self._write_down, request, target, why),
            hide=lambda body: services.credentials.echoes(target).hide(body)[0],
        )

    async def _write_down(self, request: ApprovalRequest, target: Target, why: str, asking: Asking) -> None:
        """Write one request down, durably. Raises Refusal."""
        services, ask = self._services, request.ask
        masker = self._masker(ask.access, target)
        detail: JsonObject = {
            "approval": request.id,
            "why": why,
            "method": asking.method,
            "url": f"{target.scheme}://{target.host}:{target.port}{masked_path(target.path + asking.target, masker)}",
        }
        ids = {"exchange": ask.exchange, "approval": request.id}
        if upstream := services.credentials.shown(target, PREVIEW, ask.access, **ids):
            detail["upstream"] = upstream
        principal: JsonObject = {"id": ask.access.principal.id, "person": ask.access.principal.person}
        await services.append(
            AuditEvent(
                AuditStage.PREVIEWED,
                services.clock.now(),
                exchange=ask.exchange,
                principal=principal,
                target=target.name,
                action=ask.access.action.verb,
                resource=as_text(ask.preview.get("resource")),
                detail=detail,
            )
        )

    def _masker(self, access: AccessRequest, target: Target) -> Masker:
        policies = self._services.policies
        return policies.keeper(masks_of(policies, access, target), target)

    def _masks(self, access: AccessRequest, target: Target) -> Masks:
        masker, shape = self._masker(access, target), kube_shapes.of(access)
        return Masks(
            seal=lambda value: masker.sealed_kubernetes(value, shape),
            text=lambda text: masker.text(text).value,
            error=lambda status: as_object(masker.kubernetes(status, shape).value),
        )


def _said(request: ApprovalRequest) -> JsonObject:
    """Return the query of a request as it was decoded."""
    return as_object(as_object(request.ask.preview.get("request")).get("query"))


def _words(said: JsonObject, masks: Masks, arguments: JsonObject) -> str:
    with suppress(Unmaskable):
        return show.refusal(said, masks, arguments)
    return ""


def _subject(access: AccessRequest, found: Found) -> Subject | None:
    what, live = access.resource, found.parent or found.before
    if not isinstance(what, KubeObject) or live is None or found.sort not in ("change", "delete"):
        return None
    verb, then = access.action.verb, found.after if found.sort == "change" else {}
    return Subject(what, verb, live, then or {}, found.propagation)


def _until(send: Send, now: Callable[[], float], end: float) -> Send:
    """Return what sends as long as there is time."""

    async def bounded(asking: Asking) -> Answer:
        try:
            async with asyncio.timeout(max(0.0, end - now())):
                return await send(asking)
        except TimeoutError:
            raise Trouble("there was no time left") from None

    return bounded
