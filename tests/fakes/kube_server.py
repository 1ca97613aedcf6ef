"""A Kubernetes API server for tests, small and real: TLS, HTTP/1.1 and HTTP/2, objects that live, watches, terminals.

It is not the real thing: validation, quotas and admission are missing, and controllers are done before the answer is.
"""

import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fakes.kube_identity import Identities, Refused, User
from tests.fakes.kube_kinds import kind_of, kinds
from tests.fakes.kube_server_api import Api
from tests.fakes.kube_server_http import Break, Connection, Headers, Request, Response, Upgrade
from tests.fakes.kube_store import ApiError, Object, Store
from tests.fakes.wire import certificate

_NODE = {
    "metadata": {"name": "node1", "labels": {"kubernetes.io/hostname": "node1", "kubernetes.io/os": "linux"}},
    "spec": {},
    "status": {
        "capacity": {"cpu": "2", "memory": "8Gi", "pods": "50"},
        "allocatable": {"cpu": "2", "memory": "8Gi", "pods": "50"},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
        ],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.2", "operatingSystem": "linux", "architecture": "amd64"},
    },
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that came, and as whom it was served."""

    method: str
    target: str
    headers: Headers
    body: bytes
    http: str
    user: User | None
    """None: refused."""
    status: int

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        """All values of a header, joined."""
        return ", ".join(v for k, v in self.headers if k == name)


@dataclass
class Faults:
    """What goes wrong on purpose; read at every request."""

    delay: float = 0.0
    """Seconds before each answer."""
    slow: dict[str, float] = field(default_factory=dict)
    """The same, for one user."""
    websockets: bool = True
    """False: WebSocket upgrades are refused, and kubectl falls back to SPDY."""
    refused_tokens: set[str] = field(default_factory=set)
    """Bearer tokens that get 401 from now on."""
    answers: dict[str, Callable[[Request], Response | None]] = field(default_factory=dict)
    """Hostile answers by the path they are for; None: the honest one."""
    gzip: bool = True
    """False: never compresses, whatever a client accepts."""
    ignore_identity: bool = False
    """Compresses although the client wants `identity`."""


class KubeServer:
    """The server on a port of its own, in a thread with an event loop of its own. A context manager."""

    def __init__(self, folder: Path, *, born: dt.datetime | None = None) -> None:
        self.folder = folder
        self.authority, key = certificate(folder / "kube-server")
        self.store = Store(born or dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=3, hours=1))
        self.identities = Identities()
        self.faults = Faults()
        self.requests: list[Seen] = []
        """Every request, in the order in which they were answered."""
        self.api = Api(self.store, folder / "pods", self.faults, lambda: self.url)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.authority, key)
        self._tls.set_alpn_protocols(["h2", "http/1.1"])
        self._connections: dict[Connection, asyncio.Task[Any] | None] = {}
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="kube-server", daemon=True)
        for name in ("default", "kube-system"):
            self.store.create(kind_of("", "namespaces"), "", {"metadata": {"name": name}})
        self.store.create(kind_of("", "nodes"), "", _NODE)

    @property
    def port(self) -> int:
        """On 127.0.0.1; stays the same over `stop` and `start`."""
        return self._port

    @property
    def url(self) -> str:
        """Base URL."""
        return f"https://127.0.0.1:{self._port}"

    # Life

    def __enter__(self) -> "KubeServer":
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.run(self.api.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def start(self) -> None:
        """Listen (again)."""
        self.run(self._listen())

    def stop(self) -> None:
        """Close the listener and every connection; objects stay."""
        self.run(self._hang_up())

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, ssl=self._tls, limit=1 << 20)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        self.api.end_watches(Break.CLOSE)
        tasks = [t for t in self._connections.values() if t is not None]
        for connection in list(self._connections):
            connection.break_off(Break.CLOSE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._answer)
        self._connections[connection] = asyncio.current_task()
        try:
            await connection.serve()
        except asyncio.CancelledError:
            pass  # the server was stopped; asyncio's own callback would report it
        finally:
            del self._connections[connection]

    # Answering

    async def _answer(self, request: Request) -> Response | Upgrade:
        user: User | None = None
        answer: Response | Upgrade
        try:
            if self.faults.delay:
                await asyncio.sleep(self.faults.delay)
            user = self.identities.who(request.headers, self.faults.refused_tokens)
            if seconds := self.faults.slow.get(user.name):
                await asyncio.sleep(seconds)
            hostile = self.faults.answers.get(request.path)
            answer = (hostile(request) if hostile else None) or await self.api.answer(request, user)
        except Refused as refused:
            answer = self.api.failure(ApiError(refused.code, refused.reason, str(refused)))
        except ApiError as wrong:
            answer = self.api.failure(wrong)
        except (KeyError, TypeError, AttributeError, ValueError) as wrong:
            answer = self.api.failure(ApiError(400, "BadRequest", f"the body or the path is wrong: {wrong!r}"))
        status = answer.status if isinstance(answer, Response) else 101
        self.requests.append(
            Seen(request.method, request.target, request.headers, request.body, request.http, user, status)
        )
        return answer

    # For tests

    def put(self, body: Object, namespace: str = "default") -> Object:
        """Keep an object as if the cluster had made it, whatever its kind; its namespace comes by itself."""
        group, _, version = body["apiVersion"].rpartition("/")
        kind = next(k for k in kinds().values() if (k.group, k.version, k.kind) == (group, version, body["kind"]))
        spaces = kind_of("", "namespaces")
        if kind.namespaced and ("", namespace) not in self.store.objects[spaces.store]:
            self.store.create(spaces, "", {"metadata": {"name": namespace}})
        return self.store.create(kind, namespace, body)

    def seen(self, method: str = "", path: str = "") -> list[Seen]:
        """Requests so far of a method and whose path holds a text."""
        return [r for r in self.requests if method in {"", r.method} and path in r.path]

    def break_off(self, how: Break) -> None:
        """Break every connection, or every stream of it."""

        def go() -> None:
            for connection in list(self._connections):
                connection.break_off(how)

        self._loop.call_soon_threadsafe(go)

    def end_watches(self, how: Break | None = None) -> None:
        """End the watches that run: well, or broken off."""
        self._loop.call_soon_threadsafe(self.api.end_watches, how)

    @property
    def watches(self) -> int:
        """How many run."""
        return len(self.api.watches)

    def log(self, namespace: str, pod: str, *lines: str) -> None:
        """Write lines to the log of a pod; those who follow get them."""
        self._loop.call_soon_threadsafe(self.api.terminals.log, namespace, pod, *lines)
