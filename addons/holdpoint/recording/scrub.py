"""A flow as it may be kept: masked bodies in, credentials out, metadata ours alone. Works on a copy of its state."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from mitmproxy.connection import Connection
from mitmproxy.flow import Flow

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.recording import secrets_in_text
from holdpoint.recording.annotation import KEY, comment, marker
from holdpoint.recording.json_text import clean_text, json_safe
from holdpoint.recording.tnetstrings import Written
from holdpoint.shallow import shallow

type FlowState = dict[str, Any]
"""What `mitmproxy.flow.Flow.get_state` returns."""

_FRAMING = frozenset({b"content-length", b"content-encoding", b"transfer-encoding", b"content-md5", b"digest"})
_NOT_KEPT = "bodies are not recorded"
_MESSAGES = "messages are not recorded"


@dataclass(frozen=True, slots=True)
class Bodies:
    """The masked bodies. None: not recorded."""

    request: bytes | None = None
    response: bytes | None = None
    websocket: dict[str, object] | None = None
    """What stands for the flow's own WebSocket, masked and scrubbed already."""


type Fields = Iterable[tuple[bytes, bytes]]


def headers(fields: Fields) -> tuple[tuple[bytes, bytes], ...]:
    """Return header fields without credentials, in order."""
    return tuple((name, _header(name, value)) for name, value in fields)


def _header(name: bytes, value: bytes) -> bytes:
    if secrets_in_text.is_plain(name, value):
        return value
    plain = value.decode("utf-8", "surrogateescape")
    kept = secrets_in_text.header(name.decode("latin-1").strip(), plain)
    return value if kept is plain else kept.encode("utf-8", "surrogateescape")


def _bytes(value: bytes, clean: bool) -> bytes:  # noqa: FBT001  # private, two callers
    plain = value.decode("utf-8", "surrogateescape")
    kept = secrets_in_text.path(plain) if clean else secrets_in_text.text(plain)
    return kept.encode("utf-8", "surrogateescape")


def _message(message: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    """Scrub what requests and responses have in common."""
    fields = headers(cast("Fields", message["headers"]))
    had_length = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in fields)
    fields = tuple((name, value) for name, value in fields if name.lower() not in _FRAMING)
    if body is not None and (body or had_length):
        # The length of what is kept: with the framing of the original a reader would find a broken message.
        fields = (*fields, (b"content-length", b"%d" % len(body)))
    trailers = cast("Fields | None", message["trailers"])
    return {
        **message,
        "headers": fields,
        "trailers": None if trailers is None else headers(trailers),
        "content": None if body is None else secrets_in_text.body(body),
    }


def _request(request: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    kept = _message(request, body)
    kept["path"] = _bytes(cast("bytes", request["path"]), clean=True)
    kept["authority"] = cast("bytes", request["authority"]).rpartition(b"@")[2]
    kept["host"] = clean_text(cast("str", request["host"]))
    return kept


def _response(response: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    kept = _message(response, body)
    kept["reason"] = _bytes(cast("bytes", response["reason"]), clean=False)
    return kept


class Scrubbed(Written):
    """The state of a connection, as it is kept."""

    __slots__ = ()


class ConnectionStates:
    """What is kept of connections: made once for all flows of a connection, while nothing in it changes."""

    def __init__(self, limit: int = 512) -> None:
        self._known: OrderedDict[str, tuple[dict[str, object], Scrubbed]] = OrderedDict()
        self._limit = limit

    def of(self, connection: Connection) -> Scrubbed:
        """Return the scrubbed state of a connection."""
        found = self._known.get(connection.id)
        now = vars(connection)
        if found is None or found[0] != now:
            found = self._known[connection.id] = dict(now), Scrubbed(_connection(connection.get_state()))
            while len(self._known) > self._limit:
                self._known.popitem(last=False)
        self._known.move_to_end(connection.id)
        return found[1]


class _Stated:
    """Stands in for a connection whose state is known."""

    def __init__(self, state: Scrubbed) -> None:
        self._state = state

    def get_state(self) -> Scrubbed:
        return self._state


def state_of(flow: Flow, connections: ConnectionStates) -> FlowState:
    """Return what `flow.get_state()` does, with the connections scrubbed already."""
    shown: Any = shallow(flow)
    shown.client_conn = _Stated(connections.of(flow.client_conn))
    shown.server_conn = _Stated(connections.of(flow.server_conn))
    state: FlowState = shown.get_state()
    return state


def _connection(state: dict[str, Any]) -> dict[str, Any]:
    """Leave out certificates: they are public, large, and the same in every record."""
    if isinstance(state, Scrubbed):
        return state
    kept: dict[str, Any] = {**state, "certificate_list": [], "error": _maybe_text(state.get("error"))}
    if "mitmcert" in kept:
        kept["mitmcert"] = None
    for name in ("sni", "proxy_mode"):
        if isinstance(plain := kept.get(name), str):
            kept[name] = secrets_in_text.text(clean_text(plain))
    return kept


def _maybe_text(value: object) -> str | None:
    return secrets_in_text.text(clean_text(value)) if isinstance(value, str) else None


def flow_state(state: FlowState, bodies: Bodies, metadata: JsonObject) -> FlowState:
    """Return what is kept of a flow: `bodies` in place of its own, `metadata` in place of whatever addons left there.

    Comment and marker follow from the metadata (see `holdpoint.recording.annotation`). The given state is not changed.
    """
    notes: list[JsonValue] = []
    kept: FlowState = {
        **state,
        "backup": None,
        "intercepted": False,
        "client_conn": _connection(state["client_conn"]),
        "server_conn": _connection(state["server_conn"]),
    }
    if (error := state.get("error")) is not None:
        kept["error"] = {**error, "msg": _maybe_text(error["msg"]) or ""}
    if state.get("request") is not None and state["type"] == "http":
        kept["request"] = _request(state["request"], bodies.request)
        if bodies.request is None and state["request"]["content"]:
            notes.append(_NOT_KEPT)
    if state.get("response") is not None and state["type"] == "http":
        kept["response"] = _response(state["response"], bodies.response)
        if bodies.response is None and state["response"]["content"] and not notes:
            notes.append(_NOT_KEPT)
    if bodies.websocket is not None:
        kept["websocket"] = bodies.websocket
    elif (websocket := state.get("websocket")) is not None:
        kept["websocket"] = {**websocket, "messages": [], "close_reason": _maybe_text(websocket["close_reason"])}
        notes.append(_MESSAGES)
    if "messages" in state:
        kept["messages"] = []
        notes.append(_MESSAGES)
    before = metadata.get("notes")
    if notes:
        metadata = {**metadata, "notes": [*(before if isinstance(before, list) else []), *notes]}
    return described(kept, metadata)


def described(kept: FlowState, metadata: JsonObject) -> FlowState:
    """Return what `flow_state` returned, with other metadata. The given state is not changed."""
    given = cast("JsonObject", json_safe(metadata))
    return {**kept, "metadata": {KEY: given}, "comment": comment(given), "marked": marker(given)}
