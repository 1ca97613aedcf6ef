"""A recorded terminal as asciicast v2 (docs.asciinema.org/manual/asciicast/v2), lines of JSON that players take."""

import codecs
import json
import shlex
from collections.abc import Iterator
from typing import Final

from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.recording.transcript import CHANNELS, CLOSE, Message, size_of
from holdpoint.recording.tunnel_flows import RecordedTunnel

_DEFAULT_SIZE: Final = (80, 24)
_DECIMALS: Final = 6


def lines(tunnel: RecordedTunnel) -> Iterator[str]:
    """Yield the header and the events, each a line of JSON without its line feed.

    Where there was no terminal, line feeds get the carriage return that a terminal would have added. What was typed is
    never in it.
    """
    began = tunnel.messages[0].at if tunnel.messages else _seconds(tunnel)
    size = next((s for m in tunnel.messages if (s := _size(m)) is not None), None)
    yield _json(_header(tunnel, began, size or _DEFAULT_SIZE))
    shown = size
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
    was_return = False
    for message in tunnel.messages:
        at = round(max(0.0, message.at - began), _DECIMALS)
        if (to := _size(message)) is not None:
            if to != shown:
                shown = to
                yield _json([at, "r", f"{to[0]}x{to[1]}"])
            continue
        name = _channel(message)
        if message.from_client or name not in decoders:
            continue
        text = decoders[name].decode(message.content[1:])
        if not tunnel.is_tty:
            text, was_return = _with_returns(text, was_return)
        if text:
            yield _json([at, "o", text])


def _header(tunnel: RecordedTunnel, began: float, size: tuple[int, int]) -> JsonObject:
    principal = as_object(tunnel.metadata.get("principal"))
    who = as_text(principal.get("person")) or as_text(principal.get("name")) or as_text(principal.get("id"))
    title = f"{as_text(tunnel.metadata.get('action'))} {as_text(tunnel.metadata.get('resource'))} by {who}".strip()
    header: JsonObject = {"version": 2, "width": size[0], "height": size[1], "timestamp": int(began), "title": title}
    if tunnel.command:
        header["command"] = shlex.join(tunnel.command)
    # Nobody told the gateway what the terminal is; players take this one where there is none.
    header["env"] = {"TERM": "xterm-256color"}
    return header


def _seconds(tunnel: RecordedTunnel) -> float:
    at = tunnel.metadata.get("at")
    return float(at) if isinstance(at, int | float) else 0.0


def _channel(message: Message) -> str:
    number = message.content[0] if message.content else CLOSE
    return CHANNELS[number] if number < len(CHANNELS) else ""


def _size(message: Message) -> tuple[int, int] | None:
    return size_of(message.content[1:]) if message.from_client and _channel(message) == "resize" else None


def _with_returns(text: str, was_return: bool) -> tuple[str, bool]:  # noqa: FBT001  # private, one caller
    """Return text as a terminal shows it, and whether it ends with a carriage return."""
    if not text:
        return text, was_return
    made = text.replace("\r\n", "\n").replace("\n", "\r\n")
    if was_return and text.startswith("\n"):
        made = made[1:]
    return made, text.endswith("\r")


def _json(value: JsonObject | list[float | str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
