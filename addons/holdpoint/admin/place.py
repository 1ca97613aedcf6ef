"""Where the admin socket lives, and who is at its other end."""

import os
import socket
import stat
import struct
import sys
from pathlib import Path

from holdpoint.domain.refusal import ConfigError

# sockaddr_un, unix(7): 108 bytes with the closing NUL on Linux, 104 on BSD and macOS.
MAX_PATH = 107 if sys.platform == "linux" else 103
_UCRED = struct.Struct("3i")
_FOREIGN_BITS = 0o077


def check_path(path: Path) -> None:
    """Check that the path fits into a socket address. Raises ConfigError."""
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise ConfigError(
            f"`admin.socket` is {length} bytes long, a Unix socket takes {MAX_PATH}: choose a shorter path",
            where=str(path),
        )


def prepare_folder(path: Path) -> None:
    """Make the socket's folder, 0700, or check that it is ours alone. Raises ConfigError."""
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise ConfigError(f"the folder cannot be made: {error.strerror}", where=str(folder)) from error
    if status.st_uid != os.geteuid():
        raise ConfigError(
            "the admin socket's folder belongs to another user: choose one of your own", where=str(folder)
        )
    if status.st_mode & _FOREIGN_BITS:
        raise ConfigError(
            f"the admin socket's folder is open to others (mode {stat.S_IMODE(status.st_mode):04o}): "
            "`chmod 700` it, or choose one of its own",
            where=str(folder),
        )


def remove_stale(path: Path) -> None:
    """Remove the socket of a process that is gone. Raises ConfigError where it is alive, or is no socket."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError("is in the way: it is not a socket; remove it or choose another path", where=str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ConfigError(f"cannot be replaced: {error.strerror or error}", where=str(path)) from error
    raise ConfigError("another process listens there: stop it, or choose another `admin.socket`", where=str(path))


def peer_uid(connection: socket.socket) -> int | None:
    """Return the user id of the process at the other end, as the kernel says it, or None where it does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is not None:
        _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
        return int(uid)
    if sys.platform == "darwin":
        # struct xucred of <sys/ucred.h>: version, uid, ...; LOCAL_PEERCRED is 1 at level SOL_LOCAL, 0.
        version, uid = struct.unpack_from("=II", connection.getsockopt(0, 1, 76))
        return int(uid) if version == 0 else None
    return None
