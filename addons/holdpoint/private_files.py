"""Files that hold secrets: how they are read and made.

A file that others can read, or that someone else owns, is no secret; a symbolic link may lead anywhere tomorrow. All
of it is refused rather than mended, so that the operator learns who could have read the file until now.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from holdpoint.domain.refusal import ConfigError

MAX_BYTES = 1 << 16


def read_private(file: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file that only its owner can read.

    Raises ConfigError where it is missing, a symbolic link, no regular file, owned by somebody else, readable or
    writable by group or others, or larger than `max_bytes`.
    """
    where = str(file)
    try:
        # O_NONBLOCK: opening a pipe must not wait for its writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ConfigError("does not exist", where=where) from None
    except OSError as error:
        if file.is_symlink():
            raise ConfigError(
                "a symbolic link is not followed to a secret: name the file itself", where=where
            ) from None
        raise ConfigError(f"cannot be read: {error.strerror}", where=where) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ConfigError("not a file", where=where)
    with os.fdopen(descriptor, "rb") as stream:
        _check_owner(status, where)
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError("others can read or write it: run `chmod 600` on it, and change the secret", where=where)
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ConfigError(f"larger than {max_bytes} bytes", where=where)
    return data


def create_private(file: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a new file, whole or not at all, and durable; its folder is made (0700) where it is missing.

    Raises ConfigError where the file exists already or cannot be written.
    """
    where = str(file)
    scratch = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    _make_folder(file.parent, where)
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            # A link, not a rename: it never takes the place of a key that another process made meanwhile.
            os.link(scratch, file)
        finally:
            with contextlib.suppress(FileNotFoundError):
                scratch.unlink()
        _sync_folder(file.parent)
    except FileExistsError:
        raise ConfigError("exists already", where=where) from None
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=where) from error


def replace_whole(file: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put a file in the place of another one, durably: whole or not at all. Raises OSError, and leaves nothing then."""
    scratch = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(scratch, flags, 0o600), "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def private_folder(folder: Path) -> None:
    """Make a folder of mode 0700, or check the one that is there. Raises ConfigError."""
    where = str(folder)
    _make_folder(folder.parent, where)
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}", where=where) from error
    if stat.S_ISLNK(status.st_mode):
        raise ConfigError("a symbolic link is not followed to secrets: name the folder itself", where=where)
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError("not a folder", where=where)
    _check_owner(status, where)
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigError("others can enter it: run `chmod 700` on it, and change the keys inside", where=where)


def _make_folder(folder: Path, where: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"its folder cannot be made: {error.strerror}", where=where) from error


def _check_owner(status: os.stat_result, where: str) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError("another user owns it: whoever owns a secret can change it", where=where)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
