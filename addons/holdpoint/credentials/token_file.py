"""A token in a file that somebody else replaces from time to time: a pod's own, by the kubelet.

The kubelet writes a new one at 80 % of its life and swaps a symbolic link, so that a reader sees the old one whole or
the new one whole (Kubernetes, "Configure Service Accounts", ServiceAccount token volume projection).
"""

import asyncio
import os
import re
import stat
from base64 import urlsafe_b64decode
from collections import deque
from pathlib import Path
from typing import Final

from holdpoint.clock import Clock
from holdpoint.domain.refusal import ConfigError, Refusal, RefusalKind
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.strict_json import loads
from holdpoint.secrets import Secret

LOOK_EVERY: Final = 10.0
"""Seconds after which the file is looked at again."""
MAX_BYTES: Final = 1 << 16
_TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")


class TokenFile:
    """The token in a file, as it is now."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._look_at = float("-inf")
        self._expires = float("inf")
        self._token: Secret | None = None
        self._known: deque[Secret] = deque(maxlen=3)
        self._lock = asyncio.Lock()

    async def read(self) -> Secret:
        """Return the token. The file is looked at in a thread, and only now and then. Raises Refusal."""
        if (token := self._fresh()) is not None:
            return token
        async with self._lock:
            if (token := self._fresh()) is not None:
                return token
            try:
                await asyncio.to_thread(self._look)
            except ConfigError as error:
                self._token = None
                raise _missing(str(error)) from error
            if self._token is None or self._clock.now() >= self._expires:
                raise _missing(f"the token in `{self._file}` has expired")
            self._look_at = self._clock.monotonic() + LOOK_EVERY
            return self._token

    def known(self) -> tuple[str, ...]:
        """Return the token and those before it that answers may still show."""
        return tuple(secret.reveal() for secret in self._known)

    def rejected(self) -> None:
        """Look at the file again before the token is used again: the upstream did not take it."""
        self._look_at = float("-inf")

    def _fresh(self) -> Secret | None:
        is_fresh = self._clock.monotonic() < self._look_at and self._clock.now() < self._expires
        return self._token if is_fresh else None

    def _look(self) -> None:
        data, stamp = _read(self._file, self._stamp if self._token is not None else None)
        if data is None:
            return
        secret = Secret(data.decode("ascii"))
        self._stamp, self._token, self._expires = stamp, secret, _expiry(secret)
        if secret not in self._known:
            self._known.append(secret)


def _read(file: Path, known: tuple[int, int, int] | None) -> tuple[bytes | None, tuple[int, int, int]]:
    """Return the token and what tells whether it changed; None where it did not. Raises ConfigError."""
    where = str(file)
    try:
        # A symbolic link is followed: that is how the kubelet replaces the file.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=where) from error
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("not a file", where=where)
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
            raise ConfigError("somebody else can change it", where=where)
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp == known:
            return None, stamp
        data = stream.read(MAX_BYTES + 1).removesuffix(b"\n")
    if len(data) > MAX_BYTES or not _TOKEN.fullmatch(data):
        raise ConfigError("holds no bearer token", where=where)
    return data, stamp


def _expiry(token: Secret) -> float:
    """Return `exp` of a JWT (Unix seconds), infinity where it says nothing. Its issuer is its own business."""
    parts = token.reveal().split(".")
    if len(parts) != 3:  # noqa: PLR2004  # header, payload, signature
        return float("inf")
    try:
        claims = loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), max_bytes=MAX_BYTES)
    except (Undecodable, ValueError):
        return float("inf")
    expires = claims.get("exp") if isinstance(claims, dict) else None
    return float(expires) if isinstance(expires, int | float) and not isinstance(expires, bool) else float("inf")


def _missing(detail: str) -> Refusal:
    return Refusal(RefusalKind.UPSTREAM, "the gateway has no credential for this target", detail=detail)
