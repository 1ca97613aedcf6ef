"""The gateway's admin socket: one JSON object a line.

`{"id", "method", "params"}` in, `{"id", "result"}` or `{"id", "error": {"code", "message"}}` out, in order.
Only processes of the gateway's own user, or root, are served. That opens the door; who may decide is for the handlers.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from holdpoint.admin.errors import AdminError
from holdpoint.admin.place import check_path, peer_uid, prepare_folder, remove_stale
from holdpoint.domain.refusal import ConfigError, Refusal
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.lock_file import AlreadyLocked, LockFile
from holdpoint.protocols.strict_json import dumps, loads

logger = logging.getLogger(__name__)

type Handler = Callable[[JsonObject], Awaitable[JsonValue]]
"""Takes `params`, returns the result. Raises AdminError or Refusal for the one who called."""

PEER: ContextVar[int] = ContextVar("holdpoint_admin_peer")
"""User id of the process that made the call under way, as the kernel says it."""

MAX_LINE = 1 << 20
_CHUNK = 64 << 10
_DISCARD = 16 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and counts that keep one client from holding the others up."""

    line: float = 10.0
    """From the first byte of a request to its last."""
    idle: float = 300.0
    """Between requests."""
    call: float = 90.0
    """For a handler. Longer than any long-poll."""
    write: float = 10.0
    """For the client to take an answer."""
    connections: int = 64


_DEFAULT = Limits()


class AdminServer:
    """Serves `handlers` by method name on a Unix socket, 0600, in a folder that is 0700."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler], *, limits: Limits = _DEFAULT) -> None:
        self._path = path
        self._handlers = dict(handlers)
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._lock: LockFile | None = None
        self._inode: tuple[int, int] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises ConfigError."""
        check_path(self._path)
        prepare_folder(self._path)
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            self._lock = LockFile(lock)
        except AlreadyLocked as error:
            who = f"process {error.owner}" if error.owner else "another process"
            raise ConfigError(
                f"{who} listens there: stop it, or choose another `admin.socket`", where=str(self._path)
            ) from None
        except OSError as error:
            raise ConfigError(f"cannot be made: {error.strerror}", where=str(lock)) from error
        try:
            remove_stale(self._path)
            self._server = await asyncio.start_unix_server(self._serve, sock=self._bind())
        except BaseException:
            self._lock.release()
            raise

    async def close(self) -> None:
        """Stop listening, end every connection, remove the socket."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with suppress(OSError):
            status = self._path.lstat()
            if (status.st_dev, status.st_ino) == self._inode:
                self._path.unlink()
        if self._lock is not None:
            self._lock.release()

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        try:
            # The folder is 0700: nobody else can reach the socket before its mode is set.
            listener.bind(os.fspath(self._path))
            self._path.chmod(0o600)
            status = self._path.lstat()
            self._inode = (status.st_dev, status.st_ino)
        except OSError as error:
            listener.close()
            raise ConfigError(f"cannot be listened on: {error.strerror}", where=str(self._path)) from error
        return listener

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        try:
            await self._admit(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            # Gone, too slow, or we close: there is nobody to tell.
            writer.transport.abort()
        except Exception:
            logger.exception("a connection to the admin socket failed")
            writer.transport.abort()
        finally:
            writer.close()
            if task is not None:
                self._connections.discard(task)

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        uid = peer_uid(connection) if connection is not None else None
        if uid is None or uid not in (os.geteuid(), 0):
            logger.warning("refused a connection to the admin socket from user id %s", uid)
            return
        PEER.set(uid)  # each connection is a task, and has a context of its own
        if len(self._connections) > self._limits.connections:
            await self._answer(writer, None, AdminError("busy", "too many connections: try again"))
            return
        lines = _Lines(reader, self._limits)
        while True:
            try:
                line = await lines.next()
            except AdminError as error:
                await self._answer(writer, None, error)
                await lines.discard()
                return
            if line is None:
                return
            await self._one(line, writer)

    async def _one(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        call_id: JsonValue = None
        try:
            call_id, method, params = _request(line)
            outcome: JsonValue | AdminError = await self._call(method, params)
        except AdminError as error:
            outcome = error
        await self._answer(writer, call_id, outcome)

    async def _call(self, method: str, params: JsonObject) -> JsonValue:
        handler = self._handlers.get(method)
        if handler is None:
            raise AdminError("unknown_method", f"there is no method `{method[:80]}`")
        try:
            async with asyncio.timeout(self._limits.call):
                return await handler(params)
        except AdminError:
            raise
        except Refusal as refusal:
            raise AdminError(refusal.kind.value, refusal.public) from refusal
        except TimeoutError:
            raise AdminError("timeout", f"`{method}` took longer than {self._limits.call:.0f} seconds") from None
        except Exception as error:
            logger.exception("admin method `%s` failed", method)
            raise AdminError("fault", "the gateway failed to answer; its log says why") from error

    async def _answer(self, writer: asyncio.StreamWriter, call_id: JsonValue, outcome: JsonValue | AdminError) -> None:
        answer: JsonObject = {"id": call_id}
        if isinstance(outcome, AdminError):
            answer["error"] = {"code": outcome.code, "message": outcome.message}
        else:
            answer["result"] = outcome
        try:
            line = dumps(answer)
        except (ValueError, TypeError):
            logger.exception("an answer of the admin socket is not JSON")
            line = dumps({"id": call_id, "error": {"code": "fault", "message": "the answer cannot be written as JSON"}})
        writer.write(line + b"\n")
        async with asyncio.timeout(self._limits.write):
            await writer.drain()


class _Lines:
    """Lines of bounded size from a client that must send each of them in bounded time."""

    def __init__(self, reader: asyncio.StreamReader, limits: Limits) -> None:
        self._reader = reader
        self._limits = limits
        self._rest = bytearray()

    async def next(self) -> bytes | None:
        """Return a line without its end, or None at the end of the stream. Raises AdminError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.line if self._rest else self._limits.idle) as patience:
            while (end := self._rest.find(b"\n")) < 0:
                if len(self._rest) > MAX_LINE:
                    break
                was_empty = not self._rest
                data = await self._reader.read(_CHUNK)
                if not data:
                    return None
                self._rest += data
                if was_empty:
                    patience.reschedule(loop.time() + self._limits.line)
        if end < 0 or end > MAX_LINE:
            raise AdminError("too_large", f"a request may have {MAX_LINE} bytes")
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    async def discard(self) -> None:
        """Read on for a while: closing with data unread would reset the connection and lose the answer."""
        left = _DISCARD
        async with asyncio.timeout(self._limits.line):
            while left > 0 and (data := await self._reader.read(_CHUNK)):
                left -= len(data)


def _request(line: bytes) -> tuple[JsonValue, str, JsonObject]:
    try:
        value = loads(line, max_bytes=MAX_LINE)
    except ValueError as error:
        raise AdminError("bad_request", f"{error}") from error
    if not isinstance(value, dict):
        raise AdminError("bad_request", "expected an object with `id`, `method` and `params`")
    call_id, method, params = value.get("id"), value.get("method"), value.get("params", {})
    if not isinstance(call_id, str | int) or isinstance(call_id, bool):
        raise AdminError("bad_request", "`id` must be text or a whole number")
    if not isinstance(method, str) or not isinstance(params, dict) or value.keys() - {"id", "method", "params"}:
        raise AdminError("bad_request", "expected an object with `id`, `method` and `params`, and nothing else")
    return call_id, method, params
