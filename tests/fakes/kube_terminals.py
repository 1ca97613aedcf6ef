"""Logs of the test API server's pods (terminals follow)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.kube_server_http import Request, Response, Upgrade
from tests.fakes.kube_store import ApiError, Object

if TYPE_CHECKING:
    from tests.fakes.kube_server import Faults


class Terminals:
    """Logs and programs of pods; used in the server's loop only."""

    def __init__(self, folder: Path, faults: "Faults") -> None:
        self._folder, self._faults = folder, faults
        self._logs: dict[tuple[str, str], list[str]] = {}
        self._followers: dict[tuple[str, str], set[asyncio.Queue[str | None]]] = {}

    async def close(self) -> None:
        """End what runs."""

    def log(self, namespace: str, pod: str, *lines: str) -> None:
        """Write lines."""
        self._logs.setdefault((namespace, pod), ["started"]).extend(lines)
        for follower in self._followers.get((namespace, pod), ()):
            for line in lines:
                follower.put_nowait(line)

    async def answer(self, request: Request, sub: str, pod: Object) -> Response | Upgrade:
        """Raises ApiError."""
        if sub == "log":
            return self._log(request, pod)
        raise ApiError(501, "NotImplemented", "not yet")

    def _log(self, request: Request, pod: Object) -> Response:
        containers = [c["name"] for c in [*pod["spec"]["containers"], *pod["spec"].get("ephemeralContainers", ())]]
        wanted, name = request.param("container"), pod["metadata"]["name"]
        if wanted and wanted not in containers:
            raise ApiError(400, "BadRequest", f"container {wanted} is not valid for pod {name}")
        if not wanted and len(containers) > 1:
            raise ApiError(
                400, "BadRequest", f"a container name must be specified for pod {name}, choose one of: {containers}"
            )
        key = (pod["metadata"]["namespace"], name)
        lines = self._logs.setdefault(key, ["started"])
        if tail := request.param("tailLines"):
            lines = lines[-int(tail) :] if int(tail) else []
        headers = [("content-type", "text/plain"), ("cache-control", "no-cache, private")]
        text = "".join(f"{line}\n" for line in lines).encode()
        if request.param("follow") != "true":
            return Response(200, text, headers)
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._followers.setdefault(key, set()).add(queue)

        async def stream() -> AsyncIterator[bytes]:
            try:
                yield text
                while (line := await queue.get()) is not None:
                    yield f"{line}\n".encode()
            finally:
                self._followers[key].discard(queue)

        return Response(200, stream(), headers)
