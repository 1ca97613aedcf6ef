"""The real pipeline with a saboteur in it: any hook of any stage fails in any way, on demand.

Runs a real mitmdump in this process, in a thread of its own. A test says which hook of which stage is to fail and how,
sends a request, and looks at what reached the upstream.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from mitmproxy import exceptions
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from holdpoint.stages.guard import LIFECYCLE_HOOKS, Stage, guarded_hooks
from holdpoint.stages.lifecycle import Lifecycle


class OwnBaseException(BaseException):
    """Nobody's handler but a catch of BaseException knows it."""


FAILURES: dict[str, Callable[[], BaseException]] = {
    "exception": lambda: ValueError("sabotage"),
    "timeout": lambda: TimeoutError("sabotage"),
    "addon-halt": exceptions.AddonHalt,
    "options-error": lambda: exceptions.OptionsError("sabotage"),
    "cancelled": lambda: asyncio.CancelledError("sabotage"),
    "system-exit": lambda: SystemExit(3),
    "keyboard-interrupt": lambda: KeyboardInterrupt("sabotage"),
    "generator-exit": lambda: GeneratorExit("sabotage"),
    "own-base": lambda: OwnBaseException("sabotage"),
    "group": lambda: BaseExceptionGroup("sabotage", [ValueError("a"), OwnBaseException("b")]),
    "recursion": lambda: RecursionError("sabotage"),
}
NOT_OF_TRAFFIC = frozenset({"add_log", "update"})
"""Hooks that carry log lines and screen updates: mitmproxy calls them for its own."""
STYLES = ("sync", "async", "awaitable")


@dataclass
class Plan:
    """What fails next. `hit` counts how often it did."""

    stage: str = ""
    hook: str = ""
    failure: str = ""
    style: str = "sync"
    hit: int = 0
    seen: set[tuple[str, str]] = field(default_factory=set)
    """Every stage and hook that ran since the last reset."""

    def arm(self, stage: str, hook: str, failure: str, style: str) -> None:
        self.stage, self.hook, self.failure, self.style, self.hit = stage, hook, failure, style, 0

    def disarm(self) -> None:
        self.stage = ""


def sabotaged(stage: Stage, plan: Plan) -> Stage:
    """Return the stage with every hook of mitmproxy overridden by one that may fail before it does its work."""
    base = type(stage)

    def make(hook: str) -> Callable[..., Any]:
        original = getattr(base, hook, None)

        def sabotaged_hook(self: Stage, *args: Any) -> Any:
            plan.seen.add((base.name, hook))
            if (plan.stage, plan.hook) == (base.name, hook):
                plan.hit += 1
                error = FAILURES[plan.failure]()
                if plan.style == "sync":
                    raise error

                async def fail() -> None:
                    await asyncio.sleep(0)
                    raise error

                return fail() if plan.style == "async" else _Awaitable(fail())
            return original(self, *args) if original is not None else None

        sabotaged_hook.__name__ = hook
        return sabotaged_hook

    members = {hook: make(hook) for hook in guarded_hooks() - NOT_OF_TRAFFIC}
    # The subclass is wrapped by the guard when it is made, as every stage is; `original` is the wrapped hook below it.
    made = type(base.__name__, (base,), {**members, "__module__": base.__module__})
    stage.__class__ = made
    return stage


class _Awaitable:
    """An awaitable that is no coroutine."""

    def __init__(self, inner: Coroutine[Any, Any, None]) -> None:
        self._inner = inner

    def __await__(self) -> Generator[Any, None, None]:
        return self._inner.__await__()


class SabotagedGateway:
    """The pipeline of addons/gateway.py in this process, with a saboteur. A context manager."""

    def __init__(self, settings_file: Path, *, http2: bool = True) -> None:
        self.plan = Plan()
        self._settings_file = settings_file
        self._http2 = http2
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sabotaged-gateway", daemon=True)
        self._master: DumpMaster | None = None
        self.gateway: Any = None
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001  # told to the test
            self.error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        import gateway as script  # addons/ is on the path

        script = __import__("importlib").reload(script)
        self.gateway = script.gateway
        options = Options()
        options.update(server=False)
        self._master = master = DumpMaster(options, with_termlog=False)
        addons = script.addons
        for stage in addons:
            if not isinstance(stage, Lifecycle):
                sabotaged(stage, self.plan)
        holder = _Script(addons)
        os.environ["HOLDPOINT_CONFIG"] = str(self._settings_file)
        lifecycle = addons[0]
        lifecycle._check_mitmproxy = lambda: None
        master.addons.register(holder)
        master.addons.get("scriptloader").addons = [holder]
        master.addons.invoke_addon_sync(
            holder, __import__("mitmproxy.hooks", fromlist=["x"]).ConfigureHook(set(options.keys()))
        )
        opened = script.gateway.open

        def open_and_tell(services: Any) -> None:
            opened(services)
            self._ready.set()

        script.gateway.open = open_and_tell
        await master.run()
        # mitmproxy leaves its listeners to the end of the process, and this one goes on.
        await master.addons.get("proxyserver").servers.update([])

    def __enter__(self) -> "SabotagedGateway":
        self._thread.start()
        if not self._ready.wait(60) or self.error is not None:
            raise RuntimeError(f"the gateway did not start: {self.error!r}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._master is not None:
            self._master.shutdown()
        self._thread.join(20)


class _Script:
    """What mitmproxy's script loader holds for one script."""

    name = "scriptmanager:gateway.py"
    path = "gateway.py"
    reloadtask = None

    def __init__(self, addons: list[Any]) -> None:
        self.addons = addons


assert not LIFECYCLE_HOOKS & guarded_hooks()
