"""One process at a time: an advisory lock (flock(2)) that the kernel lets go of however its owner ends."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class AlreadyLocked(Exception):  # noqa: N818  # named after what was found
    """Another process has it. `owner` is the process id it wrote, or empty."""

    def __init__(self, path: Path, owner: str) -> None:
        super().__init__(f"`{path}` is held by process {owner}" if owner else f"`{path}` is held by another process")
        self.owner = owner


class LockFile:
    """A lock file that is held until `release`. The file stays: deleting it would let two processes hold two files."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises AlreadyLocked, or OSError where the file cannot be made."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise AlreadyLocked(path, owner if owner.isdecimal() else "") from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go. Harmless when called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)
