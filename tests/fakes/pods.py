"""Pods whose commands are real programs on loopback: exec, attach and portforward over WebSocket and over SPDY/3.1.

What is needed for kubectl to find them, too: discovery and one Pod. Everything else of an API server is elsewhere.
"""

import base64
import contextlib
import hashlib
import json
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import wsproto.events as ws
import wsproto.utilities
from tests.fakes.byte_upstream import Answer, RawRequest, RawUpstream, answer
from tests.fakes.kube_tunnels import SpdyEnd, server_end

from holdpoint.protocols.kubernetes import spdy_frames

CHANNELS = ("stdin", "stdout", "stderr", "error", "resize")
SUCCESS = json.dumps({"metadata": {}, "status": "Success"}).encode()
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def failure(code: int) -> bytes:
    """What the kubelet says of a command that failed."""
    causes = [{"reason": "ExitCode", "message": str(code)}]
    text = f"command terminated with non-zero exit code: exit status {code}"
    return json.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "message": text,
            "reason": "NonZeroExitCode",
            "details": {"causes": causes},
        }
    ).encode()


@dataclass
class Opened:
    """One upgraded connection, as the pod saw it."""

    request: RawRequest
    heard: dict[str, bytearray] = field(default_factory=dict)
    """What came, by stream."""
    ended: set[str] = field(default_factory=set)
    gone: threading.Event = field(default_factory=threading.Event)
    """Set once the connection is closed."""
    raw: bytearray = field(default_factory=bytearray)
    """Every byte that came after the head."""


class Carrier:
    """Streams by name over one connection."""

    def __init__(self, connection: socket.socket, opened: Opened) -> None:
        self._connection, self.opened = connection, opened
        self._lock = threading.Lock()
        self.on_data: Callable[[str, bytes], None] = lambda _stream, _data: None
        self.on_end: Callable[[str], None] = lambda _stream: None

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(data)

    def send(self, stream: str, data: bytes, *, final: bool = False) -> None:
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        raise NotImplementedError

    def bye(self) -> None:
        """Say that it is over, and hang up."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def listen(self) -> None:
        """Read until the other side is gone."""
        try:
            while data := self._connection.recv(65536):
                self.opened.raw += data
                self.feed(data)
        except OSError:
            pass
        finally:
            self.opened.gone.set()
            for stream in ("stdin",):
                self.on_end(stream)

    def _heard(self, stream: str, data: bytes) -> None:
        self.opened.heard.setdefault(stream, bytearray()).extend(data)
        self.on_data(stream, data)

    def _ended(self, stream: str) -> None:
        if stream not in self.opened.ended:
            self.opened.ended.add(stream)
            self.on_end(stream)


class OverWebSocket(Carrier):
    def __init__(self, connection: socket.socket, opened: Opened) -> None:
        super().__init__(connection, opened)
        self._end = server_end()
        self._part = b""

    def _say(self, event: ws.Event) -> None:
        with self._lock, contextlib.suppress(OSError, wsproto.utilities.LocalProtocolError):
            self._connection.sendall(self._end.send(event))

    def send(self, stream: str, data: bytes, *, final: bool = False) -> None:
        if data or not final:
            self._say(ws.BytesMessage(bytes((CHANNELS.index(stream),)) + data))

    def bye(self) -> None:
        self._say(ws.CloseConnection(1000))

    def feed(self, data: bytes) -> None:
        try:
            self._end.receive_data(data)
        except wsproto.utilities.LocalProtocolError:
            return  # kubectl says goodbye twice
        for event in self._end.events():
            match event:
                case ws.Ping():
                    self._say(event.response())
                case ws.CloseConnection():
                    self._say(event.response())
                    self._connection.shutdown(socket.SHUT_RDWR)
                case ws.BytesMessage() | ws.TextMessage():
                    self._part += event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                    if not event.message_finished:
                        continue
                    said, self._part = self._part, b""
                    if said[:1] == b"\xff":
                        self._ended(CHANNELS[said[1]])
                    elif said[1:]:
                        self._heard(CHANNELS[said[0]], said[1:])
                case _:
                    pass


class OverSpdy(Carrier):
    def __init__(self, connection: socket.socket, opened: Opened) -> None:
        super().__init__(connection, opened)
        self._reader, self.end = spdy_frames.Reader(), SpdyEnd()
        self.numbers: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.opening = threading.Condition()

    def send(self, stream: str, data: bytes, *, final: bool = False) -> None:
        with self.opening:
            there = self.opening.wait_for(lambda: stream in self.numbers or self.opened.gone.is_set(), 5)
        if there and stream in self.numbers:
            self.write(self.end.data(self.numbers[stream], data, flags=1 if final else 0))

    def wait_for(self, streams: set[str]) -> bool:
        """Wait until these were opened."""
        with self.opening:
            self.opening.wait_for(lambda: streams <= set(self.numbers) or self.opened.gone.is_set(), 10)
        return streams <= set(self.numbers)

    def feed(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            self._frame(frame)

    def _frame(self, frame: spdy_frames.Data | spdy_frames.Control) -> None:
        if isinstance(frame, spdy_frames.Data):
            if frame.data:
                self._heard(self.names[frame.stream], frame.data)
            if frame.final:
                self._ended(self.names[frame.stream])
        elif frame.kind == spdy_frames.SYN_STREAM:
            headers = frame.headers
            name = headers["streamtype"]
            if "port" in headers:
                name = f"{headers['port']}:{headers['requestid']}:{name}"
            self.names[frame.stream] = name
            self.write(self.end.syn_reply(frame.stream))
            with self.opening:
                self.numbers[name] = frame.stream
                self.opening.notify_all()
            if frame.final:
                self._ended(name)
            if name.endswith(":data"):
                self.on_data(name, b"")
        elif frame.kind == spdy_frames.PING:
            self.write(frame.wire)


class OverTunnelledSpdy(OverSpdy):
    """SPDY in the binary messages of a WebSocket."""

    def __init__(self, connection: socket.socket, opened: Opened) -> None:
        super().__init__(connection, opened)
        self._socket = server_end()

    def write(self, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(self._socket.send(ws.BytesMessage(data)))

    def feed(self, data: bytes) -> None:
        self._socket.receive_data(data)
        for event in self._socket.events():
            if isinstance(event, ws.BytesMessage):
                super().feed(bytes(event.data))
            elif isinstance(event, ws.CloseConnection):
                self._connection.shutdown(socket.SHUT_RDWR)


class _Answers(dict[str, Answer]):
    def __init__(self, pods: "Pods") -> None:
        super().__init__()
        self._pods = pods

    def get(self, key: str, default: Answer | None = None) -> Answer | None:  # type: ignore[override]
        if key in self:
            return self[key]
        if key.startswith("/api/v1/namespaces/") and key.rpartition("/")[2] in ("exec", "attach", "portforward"):
            return self._pods.upgrade
        return _DISCOVERY.get(key) or (_pod(key) if "/pods/" in key else default)


class Pods(RawUpstream):
    """An API server of which every pod runs what it is told to, in `folder`. A context manager."""

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(tls)
        self.folder = folder
        self.answers = _Answers(self)
        self.opened: list[Opened] = []
        self.refuse: dict[str, bytes] = {}
        """Answers in place of a switch, by the value of Upgrade in lower case."""
        self.attached = ["sh", "-c", "while read line; do echo got $line; done"]
        self.say: Callable[[Carrier], None] | None = None
        """Runs in place of a program."""
        self.head: Callable[[bytes], bytes] = lambda head: head
        """Changes the head of a switch."""
        self.processes: list[subprocess.Popen[bytes]] = []

    def upgrade(self, connection: socket.socket, request: RawRequest) -> None:
        to = request.header("upgrade")[0].lower()
        if (said := self.refuse.get(to)) is not None:
            connection.sendall(said)
            return
        kind = request.path.rpartition("/")[2]
        opened = Opened(request)
        self.opened.append(opened)
        carrier = self._switch(connection, request, opened, to, kind)
        run: Callable[[Carrier], None] = self.say or (self._forward if kind == "portforward" else self._run)
        worker = threading.Thread(target=run, args=(carrier,), daemon=True)
        worker.start()
        carrier.listen()
        worker.join(10)

    def _switch(self, connection: socket.socket, request: RawRequest, opened: Opened, to: str, kind: str) -> Carrier:
        if to == "websocket":
            offered = [p.strip() for p in request.header("sec-websocket-protocol")[0].split(",")]
            accept = base64.b64encode(hashlib.sha1(request.header("sec-websocket-key")[0].encode() + _GUID).digest())  # noqa: S324  # RFC 6455
            more = f"Sec-WebSocket-Accept: {accept.decode()}\r\nSec-WebSocket-Protocol: {offered[0]}"
        else:
            offered = request.header("x-stream-protocol-version")
            chosen = "v4.channel.k8s.io" if kind != "portforward" else offered[0]
            more = f"X-Stream-Protocol-Version: {chosen}"
        name = "websocket" if to == "websocket" else "SPDY/3.1"
        head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {name}\r\nConnection: Upgrade\r\n{more}\r\n\r\n".encode()
        connection.sendall(self.head(head))
        if to != "websocket":
            return OverSpdy(connection, opened)
        return OverTunnelledSpdy(connection, opened) if kind == "portforward" else OverWebSocket(connection, opened)

    def _run(self, carrier: Carrier) -> None:  # noqa: C901  # one program, from its streams to its end
        query = parse_qs(urlsplit(carrier.opened.request.head.split(b" ")[1].decode()).query)
        argv = query.get("command") or self.attached
        wants_in = query.get("stdin") == ["true"]
        tty = query.get("tty") == ["true"]
        # As the kubelet does: kubectl reads nothing before each of its streams was answered.
        wanted = {"error", "stdout"} | ({"stdin"} if wants_in else set()) | (set() if tty else {"stderr"})
        if isinstance(carrier, OverSpdy) and not carrier.wait_for(wanted):
            return
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        program = subprocess.Popen(
            argv,
            cwd=self.folder,
            stdin=pipe if wants_in else null,
            stdout=pipe,
            stderr=subprocess.STDOUT if tty else pipe,
        )
        self.processes.append(program)

        def taken(stream: str, data: bytes) -> None:
            if stream == "stdin" and program.stdin is not None:
                with contextlib.suppress(OSError, ValueError):
                    program.stdin.write(data)
                    program.stdin.flush()

        def ended(stream: str) -> None:
            if stream == "stdin" and program.stdin is not None:
                with contextlib.suppress(OSError, ValueError):
                    program.stdin.close()
            if carrier.opened.gone.is_set():
                program.terminate()

        carrier.on_data, carrier.on_end = taken, ended
        for data in (bytes(carrier.opened.heard.get("stdin", b"")),):
            taken("stdin", data)
        if "stdin" in carrier.opened.ended or carrier.opened.gone.is_set():
            ended("stdin")
        pumps = [threading.Thread(target=_pump, args=(carrier, "stdout", program.stdout), daemon=True)]
        if program.stderr is not None:
            pumps.append(threading.Thread(target=_pump, args=(carrier, "stderr", program.stderr), daemon=True))
        for pump in pumps:
            pump.start()
        code = program.wait()
        for pump in pumps:
            pump.join(10)
        for file in (program.stdin, program.stdout, program.stderr):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        carrier.send("error", SUCCESS if code == 0 else failure(code), final=True)
        carrier.bye()

    def _forward(self, carrier: Carrier) -> None:
        there: dict[str, socket.socket] = {}

        def taken(stream: str, data: bytes) -> None:
            port, request, _ = stream.split(":")
            if stream not in there:
                try:
                    there[stream] = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
                except OSError as error:
                    carrier.send(f"{port}:{request}:error", f"cannot reach {port}: {error}".encode(), final=True)
                    carrier.send(stream, b"", final=True)
                    return
                threading.Thread(target=back, args=(stream, there[stream]), daemon=True).start()
            if data:
                there[stream].sendall(data)

        def back(stream: str, connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                while data := connection.recv(65536):
                    carrier.send(stream, data)
            carrier.send(stream, b"", final=True)
            carrier.send(stream.replace(":data", ":error"), b"", final=True)

        def ended(stream: str) -> None:
            if stream in there:
                with contextlib.suppress(OSError):
                    there[stream].shutdown(socket.SHUT_WR)

        carrier.on_data, carrier.on_end = taken, ended
        carrier.opened.gone.wait()
        for connection in list(there.values()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _pump(carrier: Carrier, stream: str, file: object) -> None:
    while data := file.read1(32768):  # type: ignore[attr-defined]
        carrier.send(stream, data)
    if isinstance(carrier, OverSpdy):
        carrier.send(stream, b"", final=True)


def _json(value: object) -> bytes:
    return answer(json.dumps(value), "application/json")


def _pod(path: str) -> bytes:
    name = path.rpartition("/")[2]
    spec = {"containers": [{"name": "main", "image": "busybox", "stdin": True}]}
    status = {"phase": "Running", "containerStatuses": [{"name": "main", "ready": True, "state": {"running": {}}}]}
    metadata = {"name": name, "namespace": "default", "uid": "1"}
    return _json({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": status})


_VERBS = ["create", "delete", "get", "list", "watch"]
_DISCOVERY: dict[str, bytes] = {
    "/version": _json({"major": "1", "minor": "32", "gitVersion": "v1.32.0"}),
    "/api": _json({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
    "/apis": _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
    "/api/v1": _json(
        {
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [
                {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": _VERBS},
                {"name": "pods/exec", "namespaced": True, "kind": "PodExecOptions", "verbs": ["create", "get"]},
            ],
        }
    ),
}


def websocket_frame(opcode: int, data: bytes, *, first: int = 0x80, mask: bytes | None = b"\1\2\3\4") -> bytes:
    """A frame as a test wants it: with reserved bits, without FIN, unmasked."""
    masked = 0x80 if mask is not None else 0
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", first | opcode, masked | size)
    elif size < 65536:
        head = struct.pack("!BBH", first | opcode, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first | opcode, masked | 127, size)
    if mask is None:
        return head + data
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))
