"""Where `holdpoint login` keeps tokens: files of mode 0600 in a folder of mode 0700, both the caller's own."""

import asyncio
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonObject, as_text
from holdpoint.identity.documents import BadDocument, parse_object
from holdpoint.identity.errors import LoginError

MAX_BYTES = 256 * 1024
_OTHERS = 0o077
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
        with self._opened() as folder:
            found = self._load(folder, _file_name(issuer, client_id, resource))
        asked = (issuer, client_id, resource)
        return found if found and (found.issuer, found.client_id, found.resource) == asked else None

    def all_of(self, issuer: str, client_id: str) -> list[StoredTokens]:
        """Return the tokens kept for every resource of an issuer, in no order."""
        with self._opened() as folder:
            entries = os.listdir(folder)  # noqa: PTH208  # by descriptor
            names = [n for n in entries if n.endswith(".json") and not n.startswith(".")]
            found = [self._load(folder, name) for name in names]
        return [t for t in found if t and (t.issuer, t.client_id) == (issuer, client_id)]

    def write(self, tokens: StoredTokens) -> None:
        """Keep the tokens in place of those for the same issuer, client and resource. Whole or not at all."""
        name = _file_name(tokens.issuer, tokens.client_id, tokens.resource)
        temporary = f".{name}.{secrets.token_hex(8)}"
        with self._opened() as folder:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:  # noqa: PTH123  # a descriptor
                    file.write(canonical(asdict(tokens)))
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)  # by descriptor
            except OSError as error:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)  # by descriptor
                raise LoginError(f"tokens cannot be kept in `{self._folder}`: {error.strerror}") from error

    def forget(self, issuer: str, client_id: str, resource: str) -> None:
        """Remove the tokens kept for a resource, if any."""
        with self._opened() as folder, suppress(FileNotFoundError):
            os.unlink(_file_name(issuer, client_id, resource), dir_fd=folder)  # by descriptor

    @asynccontextmanager
    async def locked(self) -> AsyncGenerator[None]:
        """Keep other processes out.

        Two that use one refresh token at once look like a thief to an issuer that rotates them (RFC 9700 section 4.14).
        """
        with self._opened() as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                lock = os.open(_LOCK, flags, 0o600, dir_fd=folder)
            except OSError as error:
                raise LoginError(f"`{self._folder / _LOCK}` cannot be opened: {error.strerror}") from error
            try:
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)

    @contextmanager
    def _opened(self) -> Generator[int]:
        """Open the folder, made where it is missing. All else goes through the descriptor that was checked."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise LoginError(f"folder `{self._folder}` cannot be used: {error.strerror}") from error
        try:
            _check_private(folder, self._folder)
            yield folder
        finally:
            os.close(folder)

    def _load(self, folder: int, name: str) -> StoredTokens | None:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LoginError(f"`{self._folder / name}` cannot be read: {error.strerror}") from error
        with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
            _check_private(descriptor, self._folder / name)
            data = file.read(MAX_BYTES + 1)
        try:
            return _from_json(parse_object(data))
        except BadDocument:
            return None  # a file of another version: a new login replaces it


def _check_private(descriptor: int, path: Path) -> None:
    status = os.fstat(descriptor)
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise LoginError(f"`{path}` is no plain file")
    if status.st_uid != os.geteuid():
        raise LoginError(f"`{path}` belongs to another user")
    if status.st_mode & _OTHERS:
        fit = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise LoginError(f"`{path}` is open to other users, run `chmod {fit} {path}`, then log in again")


def _file_name(issuer: str, client_id: str, resource: str) -> str:
    return hashlib.sha256(canonical([issuer, client_id, resource])).hexdigest()[:40] + ".json"


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
