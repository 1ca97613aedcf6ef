"""Where `holdpoint login` keeps tokens: files of mode 0600 in a folder of mode 0700, both the caller's own."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from holdpoint.domain.canonical import canonical
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonObject, as_text
from holdpoint.identity.documents import MAX_BYTES, BadDocument, parse_object
from holdpoint.identity.errors import LoginError
from holdpoint.identity.tokens import BadToken, take_apart
from holdpoint.private_files import private_folder, read_private, replace_whole

_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """What one login at one issuer for one resource gave."""

    issuer: str
    client_id: str
    resource: str
    """The audience asked for (RFC 8707); empty where none was."""
    access_token: str = field(repr=False)
    expires_at: float
    """Unix seconds at which the access token ends."""
    id_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)


class TokenFiles:
    """Token files in one folder. Every method raises LoginError where folder or file is open to others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, issuer: str, client_id: str, resource: str) -> StoredTokens | None:
        """Return the tokens kept for a resource, None where there are none."""
        with self._checked():
            found = _load(self._file(issuer, client_id, resource))
        asked = (issuer, client_id, resource)
        return found if found and (found.issuer, found.client_id, found.resource) == asked else None

    def all_of(self, issuer: str, client_id: str) -> list[StoredTokens]:
        """Return the tokens kept for every resource of an issuer, in no order."""
        with self._checked():
            found = [_load(file) for file in self._folder.glob("[!.]*.json")]
        return [t for t in found if t and (t.issuer, t.client_id) == (issuer, client_id)]

    def write(self, tokens: StoredTokens) -> None:
        """Keep the tokens in place of those for the same issuer, client and resource. Whole or not at all."""
        file = self._file(tokens.issuer, tokens.client_id, tokens.resource)
        with self._checked():
            replace_whole(file, canonical(asdict(tokens)))

    def forget(self, issuer: str, client_id: str, resource: str) -> None:
        """Remove the tokens kept for a resource, if any."""
        with self._checked():
            self._file(issuer, client_id, resource).unlink(missing_ok=True)

    @asynccontextmanager
    async def locked(self) -> AsyncGenerator[None]:
        """Keep other processes out.

        Two that use one refresh token at once look like a thief to an issuer that rotates them (RFC 9700 section 4.14).
        """
        with self._checked():
            lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _checked(self) -> Generator[None]:
        try:
            private_folder(self._folder)
            yield
        except ConfigError as error:
            raise LoginError(str(error)) from error
        except OSError as error:
            raise LoginError(f"folder `{self._folder}` cannot be used: {error.strerror}") from error

    def _file(self, issuer: str, client_id: str, resource: str) -> Path:
        name = hashlib.sha256(canonical([issuer, client_id, resource])).hexdigest()[:40]
        return self._folder / f"{name}.json"


def _load(file: Path) -> StoredTokens | None:
    if not os.path.lexists(file):
        return None
    try:
        return _from_json(parse_object(read_private(file, max_bytes=MAX_BYTES)))
    except BadDocument:
        return None  # a file of another version: a new login replaces it


def _from_json(document: JsonObject) -> StoredTokens:
    expires_at = document.get("expires_at")
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        raise BadDocument("no `expires_at`")
    return StoredTokens(
        issuer=as_text(document.get("issuer")),
        client_id=as_text(document.get("client_id")),
        resource=as_text(document.get("resource")),
        access_token=as_text(document.get("access_token")),
        expires_at=float(expires_at),
        id_token=as_text(document.get("id_token")),
        refresh_token=as_text(document.get("refresh_token")),
    )


def subject_of(id_token: str) -> str:
    """Return `sub` of a token from our own file, which was verified before it was written."""
    try:
        return as_text(take_apart(id_token).unverified_claims.get("sub"))
    except BadToken:
        return ""


def times_of(id_token: str) -> tuple[float, float]:
    """Return `iat` and `exp` of a token from our own file, which was verified before it was written."""
    try:
        claims = take_apart(id_token).unverified_claims
    except BadToken:
        return 0.0, 0.0
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return 0.0, 0.0
    return float(issued), float(expires)
