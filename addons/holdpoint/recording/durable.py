"""Files and folders that hold what they confirmed: written at known places, synced, cut back when a write failed."""

import os
from collections.abc import Sequence
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


class FileFault(Exception):  # noqa: N818  # named after what it is, as GatewayFault
    """The file is no longer what was written: removed, or changed by somebody else."""


class DurableFile:
    """A file that grows by whole batches, for this process alone."""

    def __init__(self, path: Path, end: int = 0, *, create: bool = False) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if create else 0)
        self.path = path
        self.end = end
        """End of what is durable."""
        self._tail = end
        self._dirty = False
        self._fd = os.open(path, flags, FILE_MODE)

    def stage(self, chunks: Sequence[bytes]) -> int:
        """Write behind what was staged before and return where it begins. Raises OSError or FileFault."""
        self._check()
        begin = self._tail
        self._dirty = True
        self._tail = _write_at(self._fd, chunks, begin)
        self._dirty = False
        return begin

    def sync(self) -> None:
        """Make durable what was staged. Raises OSError: then nothing since the last sync counts."""
        self._dirty = True
        os.fdatasync(self._fd)
        self.end = self._tail
        self._dirty = False

    def append(self, chunks: Sequence[bytes]) -> None:
        """Stage and sync. Raises OSError or FileFault: then nothing counts as written."""
        self.stage(chunks)
        self.sync()

    def cut(self) -> None:
        """Cut the file to what is durable. Raises OSError."""
        os.ftruncate(self._fd, self.end)
        os.fsync(self._fd)
        self._tail = self.end
        self._dirty = False

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _check(self) -> None:
        state = os.fstat(self._fd)
        try:
            named = self.path.lstat()
        except FileNotFoundError:
            raise FileFault(f"`{self.path}` was removed") from None
        if (named.st_dev, named.st_ino) != (state.st_dev, state.st_ino):
            # What is written now would be durable, and found by nobody who looks into the folder.
            raise FileFault(f"`{self.path}` was replaced by somebody else")
        if self._dirty and state.st_size >= self.end:
            self.cut()
        elif state.st_size != self._tail:
            raise FileFault(f"`{self.path}` was changed by somebody else")


def _write_at(fd: int, chunks: Sequence[bytes], offset: int) -> int:
    data = memoryview(b"".join(chunks))
    while data:
        written = os.pwrite(fd, data, offset)
        data = data[written:]
        offset += written
    return offset


def make_folder(path: Path) -> None:
    """Make a folder for us alone, with those above it, and make its name durable. Raises OSError."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
