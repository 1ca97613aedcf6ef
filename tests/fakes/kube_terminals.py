"""Pods of the test API server from within: logs, programs over WebSocket and SPDY, terminals, forwarded ports."""

import asyncio
import contextlib
import fcntl
import os
import pty
import shutil
import struct
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.kube_channels import (
    STDERR,
    STDOUT,
    Channels,
    Size,
    SocketChannels,
    StreamChannels,
    WebSocket,
    accept,
)
from tests.fakes.kube_server_http import Request, Response, Upgrade
from tests.fakes.kube_spdy import Session, Stream
from tests.fakes.kube_store import ApiError, Object

if TYPE_CHECKING:
    from tests.fakes.kube_server import Faults

_EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_FORWARD = ("SPDY/3.1+portforward.k8s.io",)
_SUCCESS: dict[str, object] = {"metadata": {}, "status": "Success"}


@dataclass
class Ran:
    """One program that a client started, or one it attached to."""

    pod: str
    argv: list[str]
    road: str
    """`v5.channel.k8s.io`, or `SPDY/3.1`."""
    stdin: bytearray = field(default_factory=bytearray)
    sizes: list[Size] = field(default_factory=list)


class Terminals:
    """Logs and programs of pods; used in the server's loop only. A pod's files are in a folder of its own."""

    def __init__(self, folder: Path, faults: "Faults") -> None:
        self._folder, self._faults = folder, faults
        self._logs: dict[tuple[str, str], list[str]] = {}
        self._followers: dict[tuple[str, str], set[asyncio.Queue[str | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.ran: list[Ran] = []
        self.ports: dict[int, int] = {}
        """Ports of pods that are real ones of loopback; 8080 of every pod echoes."""

    async def close(self) -> None:
        """End what runs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def root(self, namespace: str, pod: str) -> Path:
        """The folder that is `/` of a pod."""
        found = self._folder / namespace / pod
        if not found.is_dir():
            (found / "etc").mkdir(parents=True)
            (found / "tmp").mkdir()
            (found / "etc" / "hostname").write_text(f"{pod}\n")
        return found

    def log(self, namespace: str, pod: str, *lines: str) -> None:
        """Write lines."""
        self._logs.setdefault((namespace, pod), ["started"]).extend(lines)
        for follower in self._followers.get((namespace, pod), ()):
            for line in lines:
                follower.put_nowait(line)

    @property
    def following(self) -> int:
        """How many follow a log."""
        return sum(len(f) for f in self._followers.values())

    async def answer(self, request: Request, sub: str, pod: Object) -> Response | Upgrade:
        """Raises ApiError."""
        containers = [c["name"] for c in [*pod["spec"]["containers"], *pod["spec"].get("ephemeralContainers", ())]]
        wanted, name = request.param("container"), pod["metadata"]["name"]
        if wanted and wanted not in containers:
            raise ApiError(400, "BadRequest", f"container {wanted} is not valid for pod {name}")
        if sub == "log":
            return self._log(request, pod)
        if "upgrade" not in request.header("connection").lower():
            raise ApiError(400, "BadRequest", "Upgrade request required")
        if request.header("upgrade").lower() == "websocket":
            if not self._faults.websockets:
                raise ApiError(400, "BadRequest", "unable to upgrade: this server has no WebSockets")
            return self._websocket(request, sub, pod)
        return self._spdy(request, sub, pod)

    # Logs

    def _log(self, request: Request, pod: Object) -> Response:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        headers = [("content-type", "text/plain"), ("cache-control", "no-cache, private")]
        if request.param("follow") == "true":
            return Response(200, self._follow(key, request.param("tailLines")), headers)
        text = "".join(f"{line}\n" for line in self._tail(key, request.param("tailLines"))).encode()
        return Response(200, text, headers)

    def _tail(self, key: tuple[str, str], count: str) -> list[str]:
        lines = self._logs.setdefault(key, ["started"])
        return lines[len(lines) - min(int(count), len(lines)) :] if count else list(lines)

    async def _follow(self, key: tuple[str, str], count: str) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._followers.setdefault(key, set()).add(queue)
        try:
            for line in self._tail(key, count):
                yield f"{line}\n".encode()
            while (line := await queue.get()) is not None:
                yield f"{line}\n".encode()
        finally:
            self._followers[key].discard(queue)

    # Programs

    def _websocket(self, request: Request, sub: str, pod: Object) -> Upgrade:
        chosen, headers = accept(request, _FORWARD if sub == "portforward" else _EXEC)

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes) -> None:
            socket = WebSocket(reader, writer, begun)
            if sub == "portforward":
                await self._guard(self._forward(Session(socket.read, socket.write), pod, chosen))
            else:
                channels = SocketChannels(socket)
                await self._guard(self._talk(channels, channels.run(), request, sub, pod, chosen))

        return Upgrade(headers, run)

    def _spdy(self, request: Request, sub: str, pod: Object) -> Upgrade:
        offered = [p.strip() for p in request.header("x-stream-protocol-version").split(",")]
        version = "portforward.k8s.io" if sub == "portforward" else "v4.channel.k8s.io"
        if request.header("upgrade") != "SPDY/3.1" or version not in offered:
            raise ApiError(400, "BadRequest", "unable to upgrade: no protocol in common")
        headers = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", version)]

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes) -> None:
            first = [begun]

            async def read() -> bytes:
                return first.pop() or await reader.read(1 << 16) if first else await reader.read(1 << 16)

            async def write(data: bytes) -> None:
                writer.write(data)
                await writer.drain()

            session = Session(read, write)
            if sub == "portforward":
                await self._guard(self._forward(session, pod, "SPDY/3.1"))
                return
            tty = request.param("tty") == "true"
            wanted = 1 + sum(request.param(n) == "true" for n in ("stdin", "stdout", "stderr")) + tty
            wanted -= tty and request.param("stderr") == "true"
            channels = StreamChannels(session, wanted)
            await self._guard(self._talk(channels, channels.run(), request, sub, pod, "SPDY/3.1"))

        return Upgrade(headers, run)

    async def _guard(self, work: "asyncio.Future[None] | object") -> None:
        task = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, OSError):
                await task
        finally:
            self._tasks.discard(task)

    async def _talk(
        self, channels: Channels, reading: object, request: Request, sub: str, pod: Object, road: str
    ) -> None:
        reader = asyncio.ensure_future(reading)  # type: ignore[arg-type]
        argv = request.params("command")
        spec = [*pod["spec"]["containers"], *pod["spec"].get("ephemeralContainers", ())]
        container = next((c for c in spec if c["name"] == request.param("container")), spec[0])
        if sub == "attach":
            argv = [*container.get("command", ()), *container.get("args", ())] or ["sh"]
        ran = Ran(pod["metadata"]["name"], argv, road)
        self.ran.append(ran)
        try:
            if sub == "attach" and request.param("stdin") != "true":
                key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
                async for line in self._follow(key, "0"):
                    await channels.write(STDOUT, line)
            else:
                status = await self._run(
                    channels, ran, pod, tty=request.param("tty") == "true", stdin=request.param("stdin") == "true"
                )
                await channels.finish(status)
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, OSError):
                await reader

    async def _run(self, channels: Channels, ran: Ran, pod: Object, *, tty: bool, stdin: bool) -> dict[str, object]:
        root = self.root(pod["metadata"]["namespace"], pod["metadata"]["name"])
        argv = _within(ran.argv)
        if shutil.which(argv[0], path="/usr/bin:/bin") is None and not (root / argv[0]).exists():
            said = f'exec: "{argv[0]}": executable file not found in $PATH'
            text = f"Internal error occurred: error executing command in container: {said}"
            return {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": text, "code": 500}
        env = {"PATH": "/usr/bin:/bin", "HOME": str(root), "TERM": "xterm", "HOSTNAME": ran.pod, "PS1": "$ "}
        pipe = asyncio.subprocess.PIPE
        if tty:
            ours, theirs = pty.openpty()
            process = await asyncio.create_subprocess_exec(
                "setsid", "-c", "-w", *argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=root, env=env
            )
            os.close(theirs)
            os.set_blocking(ours, False)  # the parameter has no other name
            work = [self._terminal_out(channels, ours)]
            helpers = [self._terminal_in(channels, ran, ours), self._resize(channels, ran, ours)]
        else:
            into = pipe if stdin else asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=into, stdout=pipe, stderr=pipe, cwd=root, env=env
            )
            assert process.stdout is not None
            assert process.stderr is not None
            work = [_copy(channels, STDOUT, process.stdout), _copy(channels, STDERR, process.stderr)]
            helpers = [self._feed(channels, ran, process)] if stdin else []
        tasks = [asyncio.ensure_future(w) for w in work]
        asides = [asyncio.ensure_future(h) for h in helpers]
        gone = asyncio.ensure_future(channels.gone.wait())
        try:
            done = asyncio.gather(*tasks)
            await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                process.kill()
            await done
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            for task in [*tasks, *asides, gone]:
                task.cancel()
            await asyncio.gather(*tasks, *asides, gone, return_exceptions=True)
            if tty:
                os.close(ours)
        if code == 0:
            return _SUCCESS
        text = f"command terminated with non-zero exit code: error executing command {ran.argv}, exit code {code}"
        causes = [{"reason": "ExitCode", "message": str(code)}]
        status: dict[str, object] = {"metadata": {}, "status": "Failure", "message": text}
        return status | {"reason": "NonZeroExitCode", "details": {"causes": causes}}

    async def _feed(self, channels: Channels, ran: Ran, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError, OSError):
            while data := await channels.stdin.get():
                ran.stdin += data
                process.stdin.write(data)
                await process.stdin.drain()
            process.stdin.close()

    async def _terminal_in(self, channels: Channels, ran: Ran, ours: int) -> None:
        while data := await channels.stdin.get():
            ran.stdin += data
            os.write(ours, data)
        os.write(ours, b"\x04")

    async def _resize(self, channels: Channels, ran: Ran, ours: int) -> None:
        while True:
            width, height = await channels.sizes.get()
            fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            ran.sizes.append((width, height))

    async def _terminal_out(self, channels: Channels, ours: int) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(ours, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    data = os.read(ours, 1 << 16)
                except BlockingIOError:  # what was there has been read
                    continue
                if not data:
                    return
                await channels.write(STDOUT, data)
        except OSError:  # nobody has the terminal open any more
            return
        finally:
            loop.remove_reader(ours)

    # Ports

    async def _forward(self, session: Session, pod: Object, road: str) -> None:
        self.ran.append(Ran(pod["metadata"]["name"], ["port-forward"], road))
        errors: dict[str, Stream] = {}
        pumps: set[asyncio.Task[None]] = set()
        running = asyncio.ensure_future(session.run())
        try:
            while (stream := await session.opened.get()) is not None:
                if stream.headers["streamtype"] == "error":
                    errors[stream.headers["requestid"]] = stream
                else:
                    error = errors.pop(stream.headers["requestid"])
                    pumps.add(asyncio.ensure_future(self._port(stream, error)))
        finally:
            running.cancel()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(running, *pumps, return_exceptions=True)

    async def _port(self, stream: Stream, error: Stream) -> None:
        port = int(stream.headers["port"])
        if port == 8080 and port not in self.ports:
            while data := await stream.read():
                await stream.write(data)
        elif port not in self.ports:
            await error.write(
                f"error forwarding port {port} to pod: dial tcp4 127.0.0.1:{port}: connect: connection refused".encode()
            )
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[port])

            async def up() -> None:
                while data := await stream.read():
                    writer.write(data)
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.ensure_future(up())
            while data := await reader.read(1 << 16):
                await stream.write(data)
            await asyncio.gather(sending, return_exceptions=True)
            writer.close()
        await stream.close()
        await error.close()


async def _copy(channels: Channels, channel: int, source: asyncio.StreamReader) -> None:
    while data := await source.read(1 << 16):
        await channels.write(channel, data)


def _within(argv: list[str]) -> list[str]:
    """Let absolute paths be those of the pod: its folder is where programs start."""
    if argv[0] in {"sh", "bash"}:
        return argv
    return [argv[0], *(a.lstrip("/") or "." if a.startswith("/") else a for a in argv[1:])]
