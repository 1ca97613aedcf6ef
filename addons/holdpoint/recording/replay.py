"""Answering a client again from a recorded session: the command that starts it, and what it answers."""

import json
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from mitmproxy import http

from holdpoint.domain.values import JsonObject
from holdpoint.protocols import sse
from holdpoint.recording.json_text import read
from holdpoint.recording.replay_match import Asked, Ids, asked, fits, ids, rewrite

logger = logging.getLogger(__name__)

OPTION: Final = "holdpoint_replay"
NOT_RECORDED: Final = 4040
"""JSON-RPC error code of a request that the recording does not hold, as `not_found` has it."""
_SWITCHING: Final = 101
_KUBERNETES: Final = re.compile(r"(?:/k8s/[^/]+)?/(?:apis?|version|openapi|healthz|livez|readyz)(?:[/?]|$)")
"""Paths of the Kubernetes API, by the reverse route or without it: kubectl reads nothing but a Status."""
_NOWHERE = "http://replay.invalid:9"
_DROPPED = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


def replay_command(
    files: Sequence[Path],
    *,
    port: int,
    host: str = "127.0.0.1",
    mitmdump: str = "mitmdump",
    confdir: Path | None = None,
) -> list[str]:
    """Return the command that answers clients on `http://host:port` from recorded flow files, and connects to nobody.

    `confdir` is mitmproxy's own folder of settings; default is its own default.
    """
    addon = Path(__file__).with_name("replay_addon.py")
    command = [mitmdump, "--mode", f"reverse:{_NOWHERE}@{host}:{port}", "-s", str(addon)]
    for file in files:
        command += ["--set", f"{OPTION}={file}"]
    if confdir is not None:
        command += ["--set", f"confdir={confdir}"]
    return [*command, "--set", "connection_strategy=lazy", "--set", "flow_detail=1"]


class _Recorded:
    def __init__(self, flow: http.HTTPFlow, response: http.Response) -> None:
        self.request = asked(flow.request)
        self.response = response
        self.used = 0


class Replayer:
    """Recorded exchanges, given out again in their order; the last one that fits is given again and again."""

    def __init__(self, flows: Iterable[http.HTTPFlow]) -> None:
        self._recorded = [_Recorded(f, f.response) for f in flows if f.response is not None and not _is_tunnel(f)]
        self.is_mcp = any(r.request.is_mcp for r in self._recorded)

    def __len__(self) -> int:
        """Return how many answers there are."""
        return len(self._recorded)

    def answer(self, request: http.Request) -> http.Response:
        """Return the recorded answer, addressed to this caller; or one that says that there is none."""
        given = asked(request)
        fitting = [r for r in self._recorded if fits(r.request, given)]
        if self.is_mcp and given.method == "GET":
            # A recorded event stream ended; a client would open it again at once, for ever.
            return _plain(405, "this recording does not push messages")
        if not fitting:
            return self._missing(given)
        chosen = min(fitting, key=lambda r: r.used) if any(not r.used for r in fitting) else fitting[-1]
        chosen.used += 1
        return _addressed(chosen.response, ids(chosen.request, given))

    def _missing(self, given: Asked) -> http.Response:
        logger.warning("nothing recorded is like `%s %s`", given.method, given.path)
        if not given.is_mcp and _KUBERNETES.match(given.path):
            return _status()
        if not given.is_mcp:
            return http.Response.make(200) if self.is_mcp and given.method == "DELETE" else _plain(404, "not recorded")
        if not given.wants_answer:
            return http.Response.make(202)
        error: JsonObject = {"code": NOT_RECORDED, "message": "this request is not in the recording"}
        replies: list[JsonObject] = [
            {"jsonrpc": "2.0", "id": m["id"], "error": error} for m in given.messages if "id" in m and "method" in m
        ]
        body = json.dumps(replies[0] if len(given.messages) == 1 else replies).encode()
        return http.Response.make(200, body, {"content-type": "application/json"})


def _is_tunnel(flow: http.HTTPFlow) -> bool:
    """Tell whether a flow is an upgraded connection, or a piece of one: nothing that an answer could be made of."""
    return flow.websocket is not None or (flow.response is not None and flow.response.status_code == _SWITCHING)


def _status() -> http.Response:
    status: JsonObject = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "this request is not in the recording",
        "reason": "NotFound",
        "code": 404,
    }
    return http.Response.make(404, json.dumps(status).encode(), {"content-type": "application/json"})


def _plain(status: int, text: str) -> http.Response:
    return http.Response.make(status, text.encode() + b"\n", {"content-type": "text/plain; charset=utf-8"})


def _addressed(recorded: http.Response, known: Ids) -> http.Response:
    content = recorded.raw_content or b""
    kind = str(recorded.headers.get("content-type", "")).partition(";")[0].strip().lower()  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # untyped
    if known.ids and kind == "application/json":
        content = _rewrite_json(content, known)
    elif kind == "text/event-stream":
        content = _rewrite_events(content, known)
    headers = http.Headers([(n, v) for n, v in recorded.headers.fields if n.decode("latin-1").lower() not in _DROPPED])
    return http.Response.make(recorded.status_code, content, headers)


def _rewrite_json(content: bytes, known: Ids) -> bytes:
    try:
        return json.dumps(rewrite(read(content), known), ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError:
        return content


def _rewrite_events(content: bytes, known: Ids) -> bytes:
    parser = sse.Parser()
    events = [*parser.feed(content), *parser.end()]
    return b"".join(sse.encode(_rewrite_event(e, known)) for e in events)


def _rewrite_event(event: sse.Event, known: Ids) -> sse.Event:
    if not event.data:
        return event
    data = _rewrite_json(event.data.encode(), known).decode()
    return sse.Event(event.type, data, event.id, event.retry, event.comments)
