"""Calling hooks without looking for them anew each time.

For every hook mitmproxy walks all addons, asks each for an attribute of the hook's name, and enters a context manager
for each: about half of what a small request costs. Here the handlers are looked up once. What is called, in which
order, and what an exception or AddonHalt does, stays as it is: nothing of the pipeline's safety rests on this module,
which the guard around every hook of ours makes sure of.
"""

from collections.abc import Callable
from dataclasses import fields
from inspect import isawaitable
from typing import Any, Final

from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager, safecall
from mitmproxy.flow import Flow

type Handler = Callable[..., object]
type Entries = tuple[tuple[Handler, ...], ...]
"""Handlers by entry of the chain. An exception in one skips the rest of its entry, and nothing else."""

_PRIVATE: Final = ("handle_lifecycle", "trigger_event", "_iter_hooks", "chain", "lookup")


class Dispatcher:
    """Stands in for `AddonManager.trigger_event` and `handle_lifecycle` of one manager."""

    def __init__(self, manager: Any) -> None:  # noqa: ANN401  # an AddonManager: mitmproxy types it by halves
        self._manager = manager
        self._chain: list[object] = []
        self._size = -1
        self._entries: dict[type[hooks.Hook], Entries] = {}
        self._names: dict[type[hooks.Hook], tuple[str, ...]] = {}

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """Call every handler of an event, and of the update that follows where it is about a flow."""
        await self.trigger_event(event)
        self._check()
        entries = self._entries.get(hooks.UpdateHook)
        if (entries is None or entries) and isinstance(message := event.args()[0], Flow):
            await self.trigger_event(hooks.UpdateHook([message]))

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Call every handler of an event. Raises OptionsError from a handler, as mitmproxy does, and nothing else."""
        self._check()
        kind = type(event)
        entries = self._entries.get(kind)
        if entries is None:
            entries = self._find(event)
        if not entries:
            return
        arguments = [getattr(event, name) for name in self._names[kind]]
        for handlers in entries:
            try:
                for handler in handlers:
                    result = handler(*arguments)
                    if result is not None and isawaitable(result):
                        await result
            except exceptions.AddonHalt:
                return
            except Exception:
                # Logged in mitmproxy's own words by its own function, which lets an OptionsError through.
                with safecall():
                    raise

    def _check(self) -> None:
        """Forget all handlers where addons came or went."""
        manager = self._manager
        # Adding changes the number of known addons; removing also makes a new chain: scripts and their parts included.
        if manager.chain is not self._chain or len(manager.lookup) != self._size:
            self._chain = manager.chain
            self._size = len(manager.lookup)
            self._entries.clear()

    def _find(self, event: hooks.Hook) -> Entries:
        kind = type(event)
        found = [self._handlers(addon, event) for addon in self._manager.chain]
        entries = self._entries[kind] = tuple(handlers for handlers in found if handlers)
        self._names[kind] = tuple(f.name for f in fields(event))  # type: ignore[arg-type]  # every hook is a dataclass
        return entries

    def _handlers(self, addon: object, event: hooks.Hook) -> tuple[Handler, ...]:
        found: list[Handler] = []
        try:
            for _, handler in self._manager._iter_hooks(addon, event):  # noqa: SLF001  # its idea of what a handler is
                found.append(handler)  # those before a broken one are called
        except exceptions.AddonManagerError as error:
            found.append(_raiser(str(error)))
        return tuple(found)


def _raiser(message: str) -> Handler:
    """Return what mitmproxy does where an attribute of a hook's name is no function, each time the hook comes."""

    def broken(*_arguments: object) -> None:
        raise exceptions.AddonManagerError(message)

    return broken


def install(manager: AddonManager) -> bool:
    """Dispatch this manager's events from a cache from now on. Returns False, and changes nothing, where it cannot."""
    if any(not hasattr(manager, name) for name in _PRIVATE):
        return False
    mine = Dispatcher(manager)
    manager.trigger_event = mine.trigger_event  # type: ignore[method-assign]  # the whole point
    manager.handle_lifecycle = mine.handle_lifecycle  # type: ignore[method-assign]  # it is what calls the other
    return True
