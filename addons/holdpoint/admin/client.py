"""Calls the gateway over its admin socket. Each call is a connection of its own."""

import asyncio
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from holdpoint.admin.errors import AdminError
from holdpoint.admin.place import MAX_PATH
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols.strict_json import dumps, loads

MAX_ANSWER = 64 << 20
_MAX_DEPTH = 256
_MAX_NODES = 5_000_000
_CHUNK = 256 << 10
_CALL_ID = 1


class AdminClient:
    """Every call raises AdminError: what the gateway said, or `unavailable`, `timeout`, `bad_answer`."""

    def __init__(self, path: Path, *, timeout: float = 100.0) -> None:
        """`timeout`, in seconds, is for a whole call. It is longer than the gateway's own limit."""
        self._path = path
        self._timeout = timeout

    async def call(self, method: str, params: JsonObject | None = None) -> JsonValue:
        """Call a method and return its result."""
        line = _line(method, params)
        self._check()
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_unix_connection(os.fspath(self._path), limit=MAX_ANSWER)
                try:
                    # A server that refuses us closes at once: what it said before that is worth more than the error.
                    with suppress(ConnectionError):
                        writer.write(line)
                        await writer.drain()
                    return _result(await reader.readuntil(b"\n"))
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except asyncio.IncompleteReadError as error:
            raise self._closed() from error
        except asyncio.LimitOverrunError as error:
            raise AdminError("bad_answer", f"the gateway's answer is larger than {MAX_ANSWER} bytes") from error
        except OSError as error:
            raise self._unreachable(error) from error

    def call_sync(self, method: str, params: JsonObject | None = None) -> JsonValue:
        """Call a method and return its result, without an event loop."""
        line = _line(method, params)
        self._check()
        until = time.monotonic() + self._timeout
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(self._timeout)
                connection.connect(os.fspath(self._path))
                with suppress(ConnectionError):
                    connection.sendall(line)
                return _result(self._read(connection, until))
        except OSError as error:
            raise self._unreachable(error) from error

    def _read(self, connection: socket.socket, until: float) -> bytes:
        found = bytearray()
        while not found.endswith(b"\n"):
            connection.settimeout(max(0.001, until - time.monotonic()))
            data = connection.recv(_CHUNK)
            if not data:
                raise self._closed()
            found += data
            if len(found) > MAX_ANSWER:
                raise AdminError("bad_answer", f"the gateway's answer is larger than {MAX_ANSWER} bytes")
        return bytes(found)

    def _check(self) -> None:
        if len(os.fsencode(self._path)) > MAX_PATH:
            raise AdminError("unavailable", f"the path of the admin socket `{self._path}` is too long")

    def _closed(self) -> AdminError:
        return AdminError(
            "unavailable",
            f"the gateway at `{self._path}` closed the connection: it is stopping, or runs as another user than you",
        )

    def _unreachable(self, error: OSError) -> AdminError:
        match error:
            case ConnectionResetError() | BrokenPipeError():
                return self._closed()
            case TimeoutError():
                return AdminError(
                    "timeout", f"the gateway at `{self._path}` did not answer in {self._timeout:g} seconds"
                )
            case FileNotFoundError() | ConnectionRefusedError():
                return AdminError(
                    "unavailable",
                    f"no gateway listens at `{self._path}`: start it, or check `admin.socket` in gateway.yaml",
                )
            case PermissionError():
                return AdminError(
                    "unavailable", f"you may not use `{self._path}`: run this as the user that the gateway runs as"
                )
            case _:
                return AdminError(
                    "unavailable", f"the gateway at `{self._path}` cannot be reached: {error.strerror or error}"
                )


def _line(method: str, params: JsonObject | None) -> bytes:
    return dumps({"id": _CALL_ID, "method": method, "params": params or {}}) + b"\n"


def _result(line: bytes) -> JsonValue:
    try:
        answer = loads(line, max_bytes=MAX_ANSWER, max_depth=_MAX_DEPTH, max_nodes=_MAX_NODES)
    except ValueError as error:
        raise AdminError("bad_answer", "the gateway's answer is not JSON") from error
    if not isinstance(answer, dict) or answer.get("id") not in (_CALL_ID, None):
        raise AdminError("bad_answer", "the gateway's answer belongs to no call")
    failure = answer.get("error")
    if isinstance(failure, dict):
        code, message = failure.get("code"), failure.get("message")
        if isinstance(code, str) and isinstance(message, str):
            raise AdminError(code, message)
    if "result" not in answer or failure is not None or answer.get("id") is None:
        raise AdminError("bad_answer", "the gateway's answer has no result")
    return answer["result"]
