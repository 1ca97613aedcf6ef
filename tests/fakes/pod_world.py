"""A gateway in front of pods, plain and over TLS, and clients of both protocols that say anything."""

import base64
import json
import os
import re
import select
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import wsproto.events as ws
from tests.fakes.kube_tunnels import SpdyEnd, client_end
from tests.fakes.pods import CHANNELS, Pods
from tests.fakes.processes import free_port
from tests.fakes.wire import Wire, certificate, request
from tests.fakes.world import World

from holdpoint.protocols.kubernetes import spdy_frames

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: pods}
targets: [pods, safe]
rules:
  - name: look
    effect: allow
    match: {verbs: [get, list, watch], resources: ["*", "*/*"]}
  - name: paths
    effect: allow
    match: {verbs: [get], paths: ["/*"]}
  - name: shells
    effect: allow
    match:
      verbs: [exec, attach, cp, portforward]
      resources: [pods/exec, pods/attach, pods/portforward]
      namespaces: [default]
  - name: held
    effect: hold
    match:
      verbs: [exec, attach, cp, portforward]
      resources: [pods/exec, pods/attach, pods/portforward]
      namespaces: [held]
    approval: {reviewers: ["group:reviewers"], timeout: 10m}
  - name: short
    effect: hold
    match: {verbs: [exec], resources: [pods/exec], namespaces: [short]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m, grant: {for: 10s, scope: session}}
"""

TARGETS = """\
  - name: pods
    protocol: kubernetes
    url: http://127.0.0.1:{pods}
    routes: [/k8s/pods]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    hold: {{wait: 20s}}
    masks: [credentials]
  - name: safe
    protocol: kubernetes
    url: https://127.0.0.1:{safe}
    routes: [/k8s/safe]
    ca_file: {ca}
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
    hold: {{wait: 20s}}
    masks: [credentials]
"""

POD = "/api/v1/namespaces/{namespace}/pods/web/{sub}"


class PodWorld(World):
    """A World with pods, and listeners that speak TLS."""

    def __init__(self, folder: Path, *, policy: str = "") -> None:
        self.tls_files = certificate(folder / "tls")
        (folder / "pod").mkdir()
        self.pods, self.safe = Pods(folder / "pod"), Pods(folder / "pod", self.tls_files)
        self.reverse_tls, self.forward_tls = free_port(), free_port()
        more = TARGETS.format(pods=self.pods.port, safe=self.safe.port, ca=self.tls_files[0])
        super().__init__(folder, more_targets=more, json_response=True, stateless=True)
        (self.policies / "pods.yaml").write_text(POLICY + policy)
        files = f"{{certificate: {self.tls_files[0]}, key: {self.tls_files[1]}}}"
        listeners = "".join(
            f'  - {{name: {name}, mode: {mode}, listen: "127.0.0.1:{port}", tls: {files}}}\n'
            for name, mode, port in (("safe", "reverse", self.reverse_tls), ("safe-proxy", "forward", self.forward_tls))
        )
        self.write_settings(
            **{
                "keys:\n  ca:": listeners + "keys:\n  ca:",
                "policies: [demo.yaml,": "policies: [demo.yaml, pods.yaml,",
            }
        )

    def __enter__(self) -> "PodWorld":
        super().__enter__()
        self.pods.__enter__()
        self.safe.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self.pods.__exit__(None, None, None)
            self.safe.__exit__(None, None, None)

    def kubeconfig(self, target: str = "pods", *, sub: str = "u-alice", **claims: Any) -> Path:
        """A kubeconfig whose only road is the gateway."""
        file = self.folder / f"kubeconfig-{target}"
        # kubectl sends no token over plain HTTP.
        server = f"https://127.0.0.1:{self.reverse_tls}/k8s/{target}"
        cluster = {"server": server, "certificate-authority": str(self.tls_files[0])}
        user = {"token": self.token(sub, **claims)}
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": user}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
                    "current-context": "x",
                }
            )
        )
        return file

    def outside(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if "proxy" not in k.lower()} | {"HOME": str(self.folder)}

    def path(self, sub: str, namespace: str = "default", *command: str, stdin: bool = False, tty: bool = False) -> str:
        query = [f"command={quote(c)}" for c in command]
        if sub != "portforward":
            query += ["container=main", "stdout=true", f"stderr={'false' if tty else 'true'}"]
            query += ["stdin=true"] if stdin else []
            query += ["tty=true"] if tty else []
        path = POD.format(namespace=namespace, sub=sub)
        return path + ("?" + "&".join(query) if query else "")

    def plain(self, *more: tuple[str, str], token: str | None = None) -> list[tuple[str, str]]:
        return [("Host", f"127.0.0.1:{self.reverse}"), ("Authorization", f"Bearer {token or self.token()}"), *more]

    def websocket(
        self, path: str, protocols: str = "v5.channel.k8s.io", *, target: str = "pods", **claims: Any
    ) -> bytes:
        """The head of an upgrade to WebSocket."""
        token = self.token(**claims) if claims else None
        key = base64.b64encode(os.urandom(16)).decode()
        fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        fields += [("Sec-WebSocket-Key", key), ("Sec-WebSocket-Protocol", protocols)]
        return request("GET", f"/k8s/{target}{path}", self.plain(*fields, token=token))

    def spdy(
        self, path: str, protocols: str = "v5.channel.k8s.io, v4.channel.k8s.io", *, target: str = "pods"
    ) -> bytes:
        """The head of an upgrade to SPDY/3.1."""
        fields = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", protocols)]
        return request("POST", f"/k8s/{target}{path}", self.plain(*fields))

    def audited(self) -> list[dict[str, Any]]:
        """Every event of the audit log."""
        events: list[dict[str, Any]] = []
        for file in sorted((self.var / "recordings" / "audit").glob("*.jsonl")):
            for line in file.read_bytes().splitlines():
                if (event := json.loads(line).get("event")) is not None:
                    events.append(event)
        return events

    def ended(self, exchange: str = "", *, seconds: float = 15) -> dict[str, Any]:
        """Wait for the event of the last tunnel's end."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = [e for e in self.audited() if "tunnel" in e.get("detail", {}) and exchange in e["exchange"]]
            if found:
                return found[-1]
            select.select([], [], [], 0.1)
        raise AssertionError("no tunnel ended")


@dataclass
class Client:
    """A client of one upgraded connection."""

    wire: Wire
    is_spdy: bool
    status: int = 0
    head: bytes = b""
    heard: dict[str, bytearray] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    closed: bool = False
    close_code: int | None = None
    went_away: bool = False
    pongs: list[bytes] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = client_end()
        self.reader, self.end = spdy_frames.Reader(), SpdyEnd()
        self.names: dict[int, str] = {}
        self._next = 1
        self._part = b""

    def begin(self, head: bytes, *, streams: tuple[str, ...] = ("error", "stdout", "stderr")) -> "Client":
        """Ask for the switch; open the streams that a SPDY client opens."""
        self.wire.send(head)
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.wire.socket.recv(65536)
            if not more:
                break
            data += more
        self.head, _, rest = data.partition(b"\r\n\r\n")
        self.status = int(self.head.split(b" ")[1]) if self.head else 0
        length = re.search(rb"(?i)content-length: *([0-9]+)", self.head)
        while self.status != 101 and length and len(rest) < int(length[1]) and (more := self.wire.socket.recv(65536)):
            rest += more
        self.body = rest
        if self.status == 101:
            if self.is_spdy:
                for name in streams:
                    self.open({"streamtype": name})
            if rest:
                self.feed(rest)
        return self

    def open(self, headers: dict[str, str], name: str = "") -> int:
        number, self._next = self._next, self._next + 2
        self.names[number] = name or headers["streamtype"]
        self.wire.send(self.end.syn_stream(number, headers))
        return number

    def say(self, stream: str, data: bytes, *, final: bool = False) -> None:
        if self.is_spdy:
            number = next(n for n, name in self.names.items() if name == stream)
            self.wire.send(self.end.data(number, data, flags=1 if final else 0))
            return
        out = b""
        if data:
            out += self.socket.send(ws.BytesMessage(bytes((CHANNELS.index(stream),)) + data))
        if final:
            out += self.socket.send(ws.BytesMessage(bytes((255, CHANNELS.index(stream)))))
        self.wire.send(out)

    def feed(self, data: bytes) -> None:
        if not self.is_spdy:
            self.socket.receive_data(data)
            for event in self.socket.events():
                self._event(event)
            return
        for frame in self.reader.feed(data):
            if isinstance(frame, spdy_frames.Data):
                self.heard.setdefault(self.names[frame.stream], bytearray()).extend(frame.data)
                if frame.final:
                    self.ended.add(self.names[frame.stream])
            elif frame.kind == spdy_frames.GOAWAY:
                self.went_away = True
            elif frame.kind == spdy_frames.PING:
                self.pongs.append(frame.wire)
            elif frame.kind == spdy_frames.RST_STREAM:
                self.resets.append(frame.stream)

    def _event(self, event: ws.Event) -> None:
        match event:
            case ws.BytesMessage():
                self._part += bytes(event.data)
                if not event.message_finished:
                    return
                said, self._part = self._part, b""
                self.heard.setdefault(CHANNELS[said[0]], bytearray()).extend(said[1:])
            case ws.Pong():
                self.pongs.append(bytes(event.payload))
            case ws.CloseConnection():
                self.close_code = int(event.code)
            case _:
                pass

    def hang_up(self) -> None:
        """Close the connection."""
        self.wire.socket.close()

    def pump(self) -> bool:
        """Take in what arrived. False: the connection is closed."""
        try:
            data = self.wire.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.feed(data)
        return True

    def until(self, test: Any) -> None:
        """Read until something is so, or the connection closes."""
        while not test() and self.pump():
            pass

    @property
    def is_over(self) -> bool:
        """Whether a program would hang up now: it was told goodbye, or all that it waits for has ended."""
        waits = {name for name in self.names.values() if name in ("error", "stdout", "stderr")}
        return self.closed or self.close_code is not None or self.went_away or (bool(waits) and waits <= self.ended)

    def rest(self) -> "Client":
        """Read to the end, and hang up."""
        self.until(lambda: self.is_over)
        return self

    def text(self, stream: str) -> str:
        return self.heard.get(stream, bytearray()).decode("utf-8", "replace")

    @property
    def refusal(self) -> str:
        """The id in the gateway's last words."""
        found = re.search(r"\[(ex-\w+)\]", self.text("stderr"))
        assert found is not None, self.heard
        return found[1]

    @property
    def outcome(self) -> dict[str, Any]:
        """The Status of the error stream."""
        return json.loads(self.heard["error"]) if self.heard.get("error") else {}
