"""Kind `service-account`: a Kubernetes API server takes every request for the gateway's own service account."""

from holdpoint.credentials.provider import Errand, Headers, refuse_impersonation
from holdpoint.credentials.token_file import TokenFile
from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonObject


class ServiceAccount:
    """The token of a file that rotates."""

    def __init__(self, file: TokenFile) -> None:
        self._file = file

    async def ready(self) -> bool:
        """Tell whether the token can be read and has not expired."""
        try:
            await self._file.read()
        except Refusal:
            return False
        return True

    async def headers(self, errand: Errand) -> Headers:
        """Return the bearer token. Raises Refusal."""
        refuse_impersonation(errand)
        return ((b"authorization", b"Bearer " + (await self._file.read()).reveal().encode("ascii")),)

    def rejected(self) -> None:
        """Read the token anew before it is used again."""
        self._file.rejected()

    def secrets(self) -> tuple[str, ...]:
        """Return the token and the one before it."""
        return self._file.known()

    def shown(self, errand: Errand) -> JsonObject:
        """Return nothing: whose token it is, its issuer knows."""
        _ = errand
        return {}
