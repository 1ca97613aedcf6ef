"""Kinds `static` and `none`: what an operator gave the gateway, read once; or nothing."""

from collections.abc import Mapping

from holdpoint.credentials.provider import Errand, Headers, refuse_impersonation
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonObject
from holdpoint.secrets import Secret, read_secret
from holdpoint.settings import Credential


class Nothing:
    """No credential at all."""

    async def ready(self) -> bool:
        """Tell that there is nothing to wait for."""
        return True

    async def headers(self, errand: Errand) -> Headers:
        """Return no header. Raises Refusal."""
        refuse_impersonation(errand)
        return ()

    def rejected(self) -> None:
        """Do nothing: there is no other."""

    def secrets(self) -> tuple[str, ...]:
        """Return none."""
        return ()

    def shown(self, errand: Errand) -> JsonObject:
        """Return nothing."""
        _ = errand
        return {}


class Static(Nothing):
    """One header that never changes."""

    def __init__(self, credential: Credential, environ: Mapping[str, str], *, where: str) -> None:
        """Read the secret. Raises ConfigError that names `where`, never the value."""
        if credential.source is None:
            raise ConfigError("a static credential needs `from:`", where=where)
        self._secret = read_secret(credential.source, environ)
        try:
            (credential.prefix + self._secret.reveal()).encode("latin-1")
        except UnicodeEncodeError:
            raise ConfigError("the secret holds characters that a header cannot carry", where=where) from None
        self._name = credential.header.lower().encode("ascii")
        self._prefix = credential.prefix

    async def headers(self, errand: Errand) -> Headers:
        """Return the header. Raises Refusal."""
        refuse_impersonation(errand)
        return ((self._name, (self._prefix + self._secret.reveal()).encode("latin-1")),)

    def secrets(self) -> tuple[str, ...]:
        """Return the secret."""
        return (self._secret.reveal(),)


class Unchanging:
    """A bearer token that never changes, as `TokenFile` gives one that does."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def read(self) -> Secret:
        """Return the token."""
        return self._secret

    def known(self) -> tuple[str, ...]:
        """Return the token."""
        return (self._secret.reveal(),)

    def rejected(self) -> None:
        """Do nothing: there is no other."""
