"""What every kind of credential is to the gateway: something that has headers for one request."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.protocols.kubernetes.impersonation import VERB, Impersonated, asked_identity

type Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Errand:
    """The one request that a credential is for."""

    asked: AccessRequest
    """As it was decided: its members say whom it asks to be taken for."""
    exchange: str = ""
    approval: str = ""
    """Id of the approval it goes under, empty where it needed none."""


class Provider(Protocol):
    """One credential of one target. Nothing it returns is logged, stored or recorded, but for `shown`."""

    async def ready(self) -> bool:
        """Tell whether there is a credential now. Never blocks the loop."""
        ...

    async def headers(self, errand: Errand) -> Headers:
        """Return what is set on the wire for this request. They take the place of any header of the caller's.

        Raises Refusal where this request cannot be sent with this credential.
        """
        ...

    def rejected(self) -> None:
        """Take note that the upstream did not accept what was sent: look for something newer before the next."""
        ...

    def secrets(self) -> Iterable[str]:
        """Return what an answer must not show: every secret that was sent lately."""
        ...

    def shown(self, errand: Errand) -> JsonObject:
        """Return what the audit says of the identity that is used upstream. Never a secret. Empty: nothing to say."""
        ...


def impersonated_by(errand: Errand) -> Impersonated | None:
    """Return whom the request asks to be taken for, as it was decided. Raises Refusal where that is not clear."""
    try:
        return asked_identity(errand.asked.members)
    except ValueError as error:
        raise Refusal(RefusalKind.FAULT, "the gateway failed while handling this request", detail=str(error)) from error


def refuse_impersonation(errand: Errand) -> None:
    """Refuse a request that asks to be taken for somebody where the upstream would take it for the gateway itself.

    Raises Refusal.
    """
    if any(member.action.verb == VERB for member in errand.asked.members):
        raise Refusal(
            RefusalKind.DENIED,
            "nobody can be impersonated at this target",
            detail="its credential is not of kind `impersonate`",
        )
