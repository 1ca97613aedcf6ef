"""The gateway's own life: settings read, options frozen, services up, listeners bound; and an end that stops the proxy.

Order at start: `load` (our option), `configure` (settings and options; an error ends the start), then mitmproxy would
bind its own port, which we prevent, and `running` (services, then listeners, then requests are let in).
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Iterable
from typing import Any, ClassVar

from mitmproxy import ctx, exceptions
from mitmproxy import version as mitmproxy_version
from mitmproxy.addonmanager import Loader

from holdpoint import keys
from holdpoint.domain.refusal import ConfigError, Refusal, RefusalKind
from holdpoint.settings import Settings
from holdpoint.settings_file import load_settings, resolve_settings_path
from holdpoint.stages import dispatcher, frozen, listeners
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.guard import Stage
from holdpoint.stages.metering import open_meters
from holdpoint.stages.opening import open_services
from holdpoint.stages.services import Services
from holdpoint.tasks import spawn
from holdpoint.wire import Connections
from holdpoint.wire_http1 import speak_plainly

logger = logging.getLogger(__name__)

OPTION = "holdpoint_config"
EXIT_UNLOADED = 70
"""Exit status when the gateway is unloaded from a running proxy (EX_SOFTWARE)."""

UNUSED_ADDONS = (
    "browser",
    "stripdnshttpsrecords",
    "blocklist",
    "anticache",
    "anticomp",
    "commandhistory",
    "comment",
    "cut",
    "export",
    "onboarding",
    "proxyauth",
    "dnsresolver",
    "serverplayback",
    "mapremote",
    "maplocal",
    "modifybody",
    "modifyheaders",
    "stickyauth",
    "stickycookie",
    "save",
    "savehar",
    "upstreamauth",
    "updatealtsvc",
    "dumper",
    "keepserving",
    "readfilestdin",
)
"""Built-in addons that this pipeline has no use for. Each costs time on every hook, and some could change traffic."""


class Lifecycle(Stage):
    """Not a question of the pipeline: what must hold for the others to be asked."""

    name: ClassVar[str] = "lifecycle"

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self._failed = False
        self._serving = False
        self._settled: dict[str, object] = {}
        """Every option as it stood when requests were let in."""
        self._applying = False
        self._checked = False
        self._reloading = asyncio.Lock()

    def load(self, loader: Loader) -> None:
        """Add our option, and keep mitmproxy from binding a port of its own."""
        loader.add_option(OPTION, str, "", "Path of gateway.yaml. Default: the environment variable HOLDPOINT_CONFIG.")
        listeners.prevent_default_bind()

    def configure(self, updated: Iterable[str]) -> None:
        """Check every option; at start, also read the settings."""
        if self._applying:
            return
        if not self._checked:
            self._checked = True
            self._start()
            return
        # Put back after a refusal, an option comes here again with the value that it had.
        wrong = frozen.changes(self._settled, _values(updated)) if self._serving else self._complaints(updated)
        if wrong:
            raise exceptions.OptionsError("; ".join(wrong))

    def _start(self) -> None:
        # A logged error ends the start with exit status 1. Raising would do the same with a traceback on top.
        try:
            self._check_mitmproxy()
            file = resolve_settings_path(ctx.options.holdpoint_config, os.environ)
            settings = load_settings(file, os.environ)
            listeners.check(settings)
            for caution in settings.cautions:
                logger.warning("holdpoint: %s", caution)
            # Before mitmproxy is pointed at it: it would make the folder for everybody to read.
            keys.open_ca_folder(settings.keys.ca_folder)
            self.gateway.settings = settings
            self._apply(settings)
        except ConfigError as error:
            self._fail(str(error))

    def _check_mitmproxy(self) -> None:
        if not frozen.is_tested(mitmproxy_version.VERSION):
            raise ConfigError(f"mitmproxy {mitmproxy_version.VERSION} is not tested: install 12.2 or 12.3")
        if missing := Connections.verify_private_names():
            raise ConfigError(f"this mitmproxy lacks {', '.join(missing)}: install 12.2 or 12.3")
        if wrong := self._complaints(None):
            raise ConfigError("; ".join(wrong))
        if len(ctx.options.scripts) != 1:
            raise ConfigError("the gateway must be the only script: another one could change what it let through")

    def _fail(self, message: str) -> None:
        self._failed = True
        logger.error("holdpoint does not start: %s", message)

    def _complaints(self, updated: Iterable[str] | None) -> list[str]:
        options = ctx.options._options  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # no other way to a default
        values = {name: (option.current(), option.default) for name, option in options.items()}
        wrong = frozen.complaints(values, ctx.options.deferred, updated=updated)
        for name in ("mode",) if updated is None else sorted(frozen.APPLIED & set(updated)):
            value, default = values[name]
            if value != default:
                wrong.append(f"option `{name}` is set by the gateway from its settings")
        return wrong

    def _apply(self, settings: Settings) -> None:
        limit = max((max(t.request_bytes, t.response_bytes) for t in settings.targets), default=1)
        self._applying = True
        try:
            ctx.options.update(**frozen.OURS, confdir=str(settings.keys.ca_folder), body_size_limit=str(limit))
        finally:
            self._applying = False

    async def running(self) -> None:
        """Bring up services and listeners, then let requests in."""
        settings = self.gateway.settings
        if self._failed or settings is None:
            return
        _stop_hot_reload()
        _drop_unused_addons()
        speak_plainly()
        if not dispatcher.install(ctx.master.addons):
            logger.warning("holdpoint: this mitmproxy dispatches hooks in another way; the gateway is slower for it")
        self.gateway.connections = Connections(ctx.master.addons.get("proxyserver"))
        services: Services | None = None
        try:
            services = await open_services(settings, self.gateway.clock, self.reload)
            open_meters(settings, services, self.gateway.exchanges)
            self._applying = True
            try:
                self.gateway.listeners = await listeners.bind(settings)
            finally:
                self._applying = False
            await services.announce_start()
        except ConfigError as error:
            if services is not None:
                await services.close()
            self._fail(str(error))
            return
        self.gateway.open(services)
        self._settled = _values(ctx.options.keys())
        self._serving = True
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_hangup)
        logger.info("holdpoint: serving under bundle %s", services.policies.bundle.hash)
        for listener in settings.listeners:
            logger.info("holdpoint: %s listener `%s` at %s", listener.mode, listener.name, listener.address)

    def _on_hangup(self) -> None:
        spawn(self._reload_logged(), name="reload policies")

    async def _reload_logged(self) -> None:
        try:
            await self.reload()
        except ConfigError as error:
            logger.error("policies not reloaded, the old ones stay in force: %s", error)  # noqa: TRY400  # its own words

    async def reload(self) -> str:
        """Load the policies again and switch to them at once. Returns the new bundle's hash. Raises ConfigError."""
        async with self._reloading:
            return await self.gateway.services.reload()

    def done(self) -> Awaitable[None] | None:
        """End with the proxy; or, unloaded from a proxy that runs on, end the proxy.

        NOTE: not a coroutine function: mitmproxy refuses to call one when it unloads a script, and would run on.
        """
        if self._serving and not ctx.master.should_exit.is_set():
            logger.critical("the gateway was unloaded from a running proxy: the proxy ends")
            logging.shutdown()
            os._exit(EXIT_UNLOADED)
        return self._close()

    async def _close(self) -> None:
        if self.gateway.ready:
            stopping = Refusal(RefusalKind.UNAVAILABLE, "the gateway is stopping")
            # Not those who are held: the broker tells them how to go on.
            self.gateway.services.live.end_where(lambda stream: not stream.waits, stopping)
        services = self.gateway.close()
        if services is not None:
            await services.close()


def _values(names: Iterable[str]) -> dict[str, object]:
    options = ctx.options._options  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # no other way to any option
    return {name: options[name].current() for name in names if name in options}


def _stop_hot_reload() -> None:
    loader: Any = ctx.master.addons.get("scriptloader")
    for script in loader.addons:
        if script.reloadtask is not None:
            script.reloadtask.cancel()


def _drop_unused_addons() -> None:
    for name in UNUSED_ADDONS:
        addon = ctx.master.addons.get(name)
        if addon is not None:
            ctx.master.addons.remove(addon)
