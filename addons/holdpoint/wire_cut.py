"""Connections that are over and whose other side does not read what waits for it: closed alone, they would stay."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from typing import Any, Final

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: what waits in the system is dropped, too, and the other side gets a reset."""


def cut_off(writers: Iterable[tuple[Any, float]]) -> None:
    """Cut each off in so many seconds, should it still be there. `None` is no connection."""
    loop = asyncio.get_running_loop()
    for writer, seconds in writers:
        if writer is not None:
            loop.call_later(seconds, _cut, writer.transport)


def _cut(transport: asyncio.WriteTransport) -> None:
    wire = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it was closed in time
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
