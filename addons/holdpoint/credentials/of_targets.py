"""Every target's credentials: made from the settings at start, held in memory, put on the wire only."""

from collections.abc import Mapping
from typing import assert_never

from holdpoint.clock import Clock
from holdpoint.credentials.echoes import Echoes
from holdpoint.credentials.impersonate import Impersonate
from holdpoint.credentials.per_call import Mint, PerCallToken
from holdpoint.credentials.provider import Errand, Headers, Provider
from holdpoint.credentials.service_account import ServiceAccount
from holdpoint.credentials.static import Nothing, Static, Unchanging
from holdpoint.credentials.token_file import TokenFile
from holdpoint.domain.access import AccessRequest
from holdpoint.domain.refusal import ConfigError, GatewayFault
from holdpoint.domain.values import JsonObject
from holdpoint.secrets import read_secret
from holdpoint.settings import Credential, Settings, Target


class Credentials:
    """Every target's credentials, by name."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        *,
        mint: Mint | None = None,
        heads: tuple[str, ...] = (),
    ) -> None:
        """Read every secret. `mint` makes tokens of calls, and `heads` is what they begin with.

        Raises ConfigError that names target and credential, never the value.
        """
        self._heads = heads
        self._providers: dict[tuple[str, str], Provider] = {}
        for target in settings.targets:
            for name, credential in target.credentials.items():
                where = f"target `{target.name}`, credential `{name}`"
                self._providers[target.name, name] = _provider(credential, environ, clock, mint, where)
        self._echoes: dict[str, tuple[frozenset[str], Echoes]] = {}
        for target in settings.targets:
            self.echoes(target)  # what takes a moment is made at start

    async def available(self, target: Target, name: str) -> bool:
        """Tell whether the target has a credential of that name, and it is there now."""
        provider = self._providers.get((target.name, name))
        return provider is not None and await provider.ready()

    async def headers(
        self, target: Target, name: str, asked: AccessRequest, *, exchange: str = "", approval: str = ""
    ) -> Headers:
        """Return what is set on the wire for one request.

        Raises Refusal where the request cannot be sent so, KeyError for a credential that `available` does not know.
        """
        made = await self._providers[target.name, name].headers(Errand(asked, exchange, approval))
        self.echoes(target)  # what a new token needs to be found in answers is made before it is sent
        return made

    def shown(
        self, target: Target, name: str, asked: AccessRequest, *, exchange: str = "", approval: str = ""
    ) -> JsonObject:
        """Return what the audit says of the identity that is used upstream. Raises as `headers` does."""
        return self._providers[target.name, name].shown(Errand(asked, exchange, approval))

    def rejected(self, target: Target, name: str) -> None:
        """Take note that the upstream did not accept a credential (401)."""
        if (provider := self._providers.get((target.name, name))) is not None:
            provider.rejected()

    def echoes(self, target: Target) -> Echoes:
        """Return what finds this target's credentials in answers: all of them, whichever one was sent."""
        secrets = frozenset(s for name in target.credentials for s in self._providers[target.name, name].secrets())
        known = self._echoes.get(target.name)
        if known is None or known[0] != secrets:
            # Tokens of calls are looked for everywhere: a cluster may show the one it was sent as well as the server.
            known = self._echoes[target.name] = (secrets, Echoes(secrets, heads=self._heads))
        return known[1]


def _provider(
    credential: Credential, environ: Mapping[str, str], clock: Clock, mint: Mint | None, where: str
) -> Provider:
    match credential.kind:
        case "none":
            return Nothing()
        case "static":
            return Static(credential, environ, where=where)
        case "service-account":
            return ServiceAccount(_token_file(credential, clock))
        case "impersonate":
            if credential.impersonate is None:
                raise GatewayFault("a credential of kind `impersonate` without its settings")
            if credential.source is None:
                return Impersonate(_token_file(credential, clock), credential.impersonate)
            secret = read_secret(credential.source, environ)
            if not secret.reveal().isascii():
                raise ConfigError("the secret holds characters that a header cannot carry", where=where)
            return Impersonate(Unchanging(secret), credential.impersonate)
        case "per-call":
            if credential.per_call is None or mint is None:
                raise ConfigError("no key signs tokens of calls: add `calls` under `keys`", where=where)
            return PerCallToken(credential.per_call, mint)
        case _:
            assert_never(credential.kind)


def _token_file(credential: Credential, clock: Clock) -> TokenFile:
    if credential.token_file is None:
        raise GatewayFault("a credential of a token file without one")
    return TokenFile(credential.token_file, clock)
