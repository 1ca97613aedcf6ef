"""A file system of its own, small enough to be filled by a test."""

import errno
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest


class SmallDisk:
    """A tmpfs of one megabyte at `folder`. A context manager; skips the test where nothing can be mounted."""

    def __init__(self, folder: Path, size: str = "1m") -> None:
        self.folder = folder
        self._size = size

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, mode=0o700)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._size},mode=0700", "tmpfs", str(self.folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("platform: no mount command")
        if done.returncode != 0:
            pytest.skip(f"platform: nothing can be mounted here: {done.stderr.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=False)  # wherever it is

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as full:
                    if full.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Give the room back."""
        (self.folder / "filler").unlink()

    def write_protect(self, *, on: bool = True) -> None:
        """Make it read-only, or writable again. Nothing may be open on it for writing."""
        mode = "ro" if on else "rw"
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.folder)], check=True)  # wherever it is
