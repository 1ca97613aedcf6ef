"""Admin methods by which requesters say why, withdraw and break the glass, and reviewers look at that afterwards.

Each carries the ID token of the person who acts, verified here for every call.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import Handler
from holdpoint.approvals.errors import AlreadyResolved, NotAllowed, NotFound
from holdpoint.domain.approval import ApprovalRequest, Reviewer
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.stages.preview_readers import shown_to
from holdpoint.stages.reasons import masked_words
from holdpoint.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from holdpoint.stages.admin_methods import AdminMethods


class ReviewMethods:
    """`approvals.reason`, `approvals.withdraw`, `approvals.break_glass`, `approvals.review`."""

    def __init__(self, admin: "AdminMethods") -> None:
        self._admin = admin

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {
            "approvals.reason": self._reason,
            "approvals.withdraw": self._withdraw,
            "approvals.break_glass": self._break_glass,
            "approvals.review": self._review,
        }

    async def _reason(self, params: JsonObject) -> JsonValue:
        person, found = await self._seen(params)
        reason = self._masked(found, params.get("reason"))
        return await self._done(person, self._admin.services.broker.give_reason(found.id, person, reason))

    async def _withdraw(self, params: JsonObject) -> JsonValue:
        person, found = await self._seen(params)
        return await self._done(person, self._admin.services.broker.withdraw_by(found.id, person))

    async def _break_glass(self, params: JsonObject) -> JsonValue:
        expect, preview = as_text(params.get("expect")), as_text(params.get("preview"))
        if not expect or not preview:
            raise AdminError("bad_request", "say which intent (`expect`) and which preview (`preview`) you read")
        person, found = await self._seen(params)
        broker = self._admin.services.broker
        reason = self._masked(found, params.get("reason"))
        return await self._done(person, broker.break_glass(found.id, person, reason, expect=expect, preview=preview))

    async def _review(self, params: JsonObject) -> JsonValue:
        reviewer, found = await self._seen(params)
        comment = self._masked(found, params.get("comment"))
        return await self._done(reviewer, self._admin.services.broker.review_glass(found.id, reviewer, comment))

    def _masked(self, found: ApprovalRequest, text: JsonValue) -> str:
        """Return somebody's words without the secrets in them: they are stored, recorded and shown to others."""
        return masked_words(self._admin.services, found.ask.access, as_text(text))

    async def _seen(self, params: JsonObject) -> tuple[Reviewer, ApprovalRequest]:
        """Return who asks, and a request that he may see: of any other he learns nothing."""
        person = await self._admin.reviewer(params)
        return person, await self._admin.find(as_text(params.get("id")), person)

    async def _done(self, person: Reviewer, work: Awaitable[ApprovalRequest]) -> JsonValue:
        try:
            return shown_to(self._admin.services, person, await work)
        except (NotAllowed, AlreadyResolved, NotFound) as error:
            raise AdminError(error.code, str(error)) from error
        except StoreUnavailable as error:
            raise AdminError("unavailable", str(error)) from error
