"""Credentials that an operator gave the gateway: read once, held in memory, put on the wire only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from holdpoint.credentials.echoes import Echoes
from holdpoint.domain.refusal import ConfigError
from holdpoint.secrets import Secret, read_secret
from holdpoint.settings import Credential, Settings, Target


@dataclass(frozen=True, slots=True)
class _Loaded:
    header: bytes = b""
    prefix: str = ""
    secret: Secret | None = field(default=None, repr=False)


class Credentials:
    """Every target's credentials, by name."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Read every secret. Raises ConfigError that names target and credential, never the value."""
        self._loaded: dict[tuple[str, str], _Loaded] = {}
        for target in settings.targets:
            for name, credential in target.credentials.items():
                self._loaded[target.name, name] = _load(target, name, credential, environ)
        self._echoes = {target.name: self._echoes_of(target) for target in settings.targets}

    async def available(self, target: Target, name: str) -> bool:
        """Tell whether the target has a credential of that name."""
        return (target.name, name) in self._loaded

    async def headers(self, target: Target, name: str) -> tuple[tuple[bytes, bytes], ...]:
        """Return what is set on the wire. Raises KeyError for a credential that `available` does not know."""
        loaded = self._loaded[target.name, name]
        if loaded.secret is None:
            return ()
        return ((loaded.header, (loaded.prefix + loaded.secret.reveal()).encode("latin-1")),)

    def echoes(self, target: Target) -> Echoes:
        """Return what finds this target's credentials in answers: all of them, whichever one was sent."""
        return self._echoes[target.name]

    def _echoes_of(self, target: Target) -> Echoes:
        loaded = (self._loaded[target.name, name].secret for name in target.credentials)
        return Echoes([secret.reveal() for secret in loaded if secret is not None])


def _load(target: Target, name: str, credential: Credential, environ: Mapping[str, str]) -> _Loaded:
    where = f"target `{target.name}`, credential `{name}`"
    match credential.kind:
        case "none":
            return _Loaded()
        case "static":
            if credential.source is None:
                raise ConfigError("a static credential needs `from:`", where=where)
            secret = read_secret(credential.source, environ)
            try:
                (credential.prefix + secret.reveal()).encode("latin-1")
            except UnicodeEncodeError:
                raise ConfigError("the secret holds characters that a header cannot carry", where=where) from None
            return _Loaded(credential.header.lower().encode("ascii"), credential.prefix, secret)
        case _:
            assert_never(credential.kind)
