"""Kind `per-call`: each tool call goes to its MCP server with a token that counts for this call and nothing else."""

from typing import Protocol

from holdpoint.credentials.provider import Errand, Headers, refuse_impersonation
from holdpoint.domain.access import AccessRequest, Principal
from holdpoint.domain.values import JsonObject
from holdpoint.settings import PerCall


class Mint(Protocol):
    """How a token of a call is made (`identity.calls.Calls.mint`)."""

    def __call__(
        self, principal: Principal, *, server: str, clusters: frozenset[str], exchange: str, lifetime: float
    ) -> str:
        """Return the token. Raises Refusal."""
        ...


class PerCallToken:
    """Makes a token when a call is sent. It is on the wire only: neither here nor in a flow is it kept."""

    def __init__(self, settings: PerCall, mint: Mint) -> None:
        self._settings = settings
        self._mint = mint

    async def ready(self) -> bool:
        """Tell that tokens can be made."""
        return True

    async def headers(self, errand: Errand) -> Headers:
        """Return the token of a call, nothing for a message of another method. Raises Refusal."""
        refuse_impersonation(errand)
        if not self._serves(errand.asked):
            return ()
        token = self._mint(
            errand.asked.principal,
            server=errand.asked.target,
            clusters=self._settings.targets,
            exchange=errand.exchange,
            lifetime=self._settings.lifetime,
        )
        return ((b"authorization", b"Bearer " + token.encode("ascii")),)

    def rejected(self) -> None:
        """Do nothing: each call has its own."""

    def secrets(self) -> tuple[str, ...]:
        """Return none: every token begins in the same way, and is found by that."""
        return ()

    def shown(self, errand: Errand) -> JsonObject:
        """Return for which clusters the call has a token."""
        return {"linked": [*sorted(self._settings.targets)]} if self._serves(errand.asked) else {}

    def _serves(self, asked: AccessRequest) -> bool:
        return any(one.action.verb in self._settings.methods for one in (asked, *asked.members))
