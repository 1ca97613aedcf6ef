"""Real programs in tests: started, listened to, stopped; and free ports for them."""

import contextlib
import fcntl
import os
import queue
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
MITMDUMP = Path(sys.executable).parent / "mitmdump"
GATEWAY = ROOT / "addons" / "gateway.py"
_PORTS = random.SystemRandom()
"""Not seeded: the workers of a test run must not all take the same."""
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What a client of plain HTTP trusts: to read the public authorities takes longer than most requests of a test."""
DEADLINE = 60.0
"""Seconds after which a program that says nothing is taken for dead."""


def _environment() -> dict[str, str]:
    """The environment without what would change a program because a test started it."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_") and "proxy" not in k.lower()}


class _Ports:
    """Ports of loopback that no other test process is given: blocks, each held by a lock until this process ends."""

    FIRST, LAST, BLOCK = 10_000, 32_000, 100
    """Below those that the system gives to outgoing connections, which come and go all the time."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._locks: list[IO[bytes]] = []
        self._lock = threading.Lock()

    def take(self) -> int:
        """Return a port that is free and that nobody was given before. Raises RuntimeError if there is none."""
        with self._lock:
            while True:
                if not self._free:
                    self._free = self._block()
                port = self._free.pop()
                with socket.socket() as probe, contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return port

    def _block(self) -> list[int]:
        folder = Path(tempfile.gettempdir()) / f"holdpoint-test-ports-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        starts = list(range(self.FIRST, self.LAST, self.BLOCK))
        _PORTS.shuffle(starts)
        for start in starts:
            held = (folder / str(start)).open("wb")
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                held.close()
                continue
            self._locks.append(held)
            return list(range(start, start + self.BLOCK))
        raise RuntimeError("no free port on loopback")


_GIVEN = _Ports()


def free_port() -> int:
    """Return a free port of loopback that no other test, of this run or another, is given while this process lives."""
    return _GIVEN.take()


class Program:
    """A child process whose output is read line by line."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> None:
        self.lines: list[str] = []
        self._heard: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            cwd=cwd,
            env={**_environment(), "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT / "addons"), **(env or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._heard.put(line)
        self._heard.put(None)

    def wait_for(self, text: str, *, timeout: float = DEADLINE) -> str:
        """Return the first line from now on that holds `text`. Raises RuntimeError if the program ends or is silent."""
        until = time.monotonic() + timeout
        while True:
            try:
                line = self._heard.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"no `{text}` within {timeout} s; it said:\n{self.output}") from None
            if line is None:
                raise RuntimeError(f"ended without `{text}`, status {self.process.wait()}; it said:\n{self.output}")
            if text in line:
                return line

    @property
    def output(self) -> str:
        """Everything it said so far."""
        return "\n".join(self.lines)

    def wait(self, *, timeout: float = DEADLINE) -> int:
        """Return the exit status."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait(timeout=30)
            raise RuntimeError(f"did not end on {how.name}; it said:\n{self.output}") from None
