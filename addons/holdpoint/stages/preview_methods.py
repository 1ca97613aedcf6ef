"""What reviewers may ask of previews."""

from typing import TYPE_CHECKING

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import Handler
from holdpoint.approvals.errors import AlreadyResolved, NotFound
from holdpoint.domain.approval import ApprovalState, DryRunState
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.stages.preview_readers import shown_to
from holdpoint.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from holdpoint.stages.admin_methods import AdminMethods


class PreviewMethods:
    """`approvals.preview_again`."""

    def __init__(self, admin: "AdminMethods") -> None:
        self._admin = admin

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {"approvals.preview_again": self._again}

    async def _again(self, params: JsonObject) -> JsonValue:
        person, services = await self._admin.reviewer(params), self._admin.services
        found = await self._admin.find(as_text(params.get("id")), person)
        if found.state is not ApprovalState.PENDING:
            raise AdminError("already_resolved", "the request is no longer pending")
        if found.dry_run.state is not DryRunState.FAILED:
            raise AdminError("not_allowed", "only a preview that failed is made again")
        try:
            return shown_to(services, person, await services.previews.again(found))
        except (AlreadyResolved, NotFound) as error:
            raise AdminError(error.code, str(error)) from error
        except StoreUnavailable as error:
            raise AdminError("unavailable", str(error)) from error
