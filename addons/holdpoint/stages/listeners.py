"""Binding the listeners that the settings name, and nothing else."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import errno
import logging
import os
from typing import Any

from mitmproxy import ctx

from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import Listener, Settings
from holdpoint.stages.tls_contexts import check_listener

logger = logging.getLogger(__name__)

NOWHERE = "http://holdpoint.invalid:1"
"""Upstream of every reverse listener (RFC 6761 section 6.4: it never resolves): a request that no target claimed goes
nowhere, even if everything else failed."""

_MODE = {"reverse": f"reverse:{NOWHERE}", "forward": "regular"}


def prevent_default_bind() -> None:
    """Keep mitmproxy from opening its default port before the settings are known.

    It binds between `load` and `running`, from a task of this name. With `--set server=false` there is none.
    """
    for task in asyncio.all_tasks():
        if task.get_name().partition(" ")[0] == "setup_servers":
            task.cancel()


def check(settings: Settings) -> None:
    """Load every listener's certificate once. Raises ConfigError."""
    for listener in settings.listeners:
        if listener.tls is not None:
            check_listener(listener.tls, f"listener `{listener.name}`")


def mode_of(listener: Listener) -> str:
    """Return mitmproxy's mode specification of a listener."""
    address = listener.address
    where = f"{address.host}:{address.port}" if address.host else f"{address.port}"
    return f"{_MODE[listener.mode]}@{where}"


async def bind(settings: Settings) -> dict[tuple[str, int], Listener]:
    """Bind every listener, and return them by bound address. Raises ConfigError where one cannot be bound."""
    proxyserver: Any = ctx.master.addons.get("proxyserver")
    manager = proxyserver.servers
    for leftover in list(manager):
        if leftover.is_running:
            await leftover.stop()
    manager._instances.clear()  # noqa: SLF001  # what the cancelled start left behind
    modes = {mode_of(listener): listener for listener in settings.listeners}
    ctx.options.update(mode=list(modes), server=True)
    await asyncio.sleep(0)
    while manager.is_updating:  # noqa: ASYNC110  # mitmproxy offers no event to wait for
        await asyncio.sleep(0.005)
    bound: dict[tuple[str, int], Listener] = {}
    for mode, listener in modes.items():
        instance = manager[mode]
        if not instance.is_running or instance.last_exception is not None:
            raise ConfigError(
                f"cannot listen at {listener.address}: {_reason(instance.last_exception)}",
                where=f"listener `{listener.name}`",
            )
        for host, port, *_ in instance.listen_addrs:
            bound["" if host in ("0.0.0.0", "::") else host, port] = listener  # noqa: S104  # recognised, not chosen
    return bound


def _reason(error: BaseException | None) -> str:
    """Say it without mitmproxy's mode, whose placeholder of an upstream tells nobody anything."""
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return "the port is taken: stop what listens there, or choose another `listen`"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case None:
            return "it is not running"
        case _:
            return str(error)
