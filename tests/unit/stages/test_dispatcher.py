"""What is called, in which order, and what an exception does, is the same as without the cache: side by side."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from mitmproxy import exceptions, hooks, http
from mitmproxy.addonmanager import AddonManager
from mitmproxy.options import Options
from mitmproxy.proxy.layers.http import HttpRequestHeadersHook, HttpRequestHook, HttpResponseHook
from mitmproxy.proxy.server_hooks import ClientConnectedHook
from mitmproxy.test import tflow

from holdpoint.stages import dispatcher

type Seen = list[str]


@dataclass
class Named:
    """An addon, or a script with addons below it, that notes what is called."""

    name: str
    seen: Seen = field(repr=False)
    fails: type[BaseException] | None = None
    addons: list[object] = field(default_factory=list)

    def request(self, flow: http.HTTPFlow) -> None:
        self.seen.append(f"{self.name} {flow.request.path}")
        if self.fails is not None:
            raise self.fails(self.name)


class Slow(Named):
    """The same, asynchronous."""

    async def request(self, flow: http.HTTPFlow) -> None:
        await asyncio.sleep(0)
        Named.request(self, flow)


class Handing(Named):
    """A function that is not asynchronous and returns something to wait for."""

    def request(self, flow: http.HTTPFlow) -> asyncio.Future[None]:
        return asyncio.ensure_future(Slow.request(self, flow))


class Telling(Named):
    """A function that returns something nobody waits for."""

    def request(self, flow: http.HTTPFlow) -> str:
        Named.request(self, flow)
        return "not None"


class Broken(Named):
    """An attribute of a hook's name that is no function."""

    request = "not a function"


class Shadow(Named):
    """A module of a hook's name, as an import makes it."""

    request = logging


def single(kind: type[Named] = Named, fails: type[BaseException] | None = None) -> Callable[[Seen], list[object]]:
    return lambda seen: [Named("before", seen), kind("middle", seen, fails), Named("after", seen)]


def script(*parts: tuple[type[Named], type[BaseException] | None]) -> Callable[[Seen], list[object]]:
    """A script with parts below it, between two addons."""

    def make(seen: Seen) -> list[object]:
        below = [kind(f"part{i}", seen, fails) for i, (kind, fails) in enumerate(parts)]
        return [Named("before", seen), Named("script", seen, None, [*below]), Named("after", seen)]

    return make


class Unrelated:
    """Knows no hook."""


SCENARIOS = [
    pytest.param(single(), id="all are called in order"),
    pytest.param(single(Slow), id="asynchronous"),
    pytest.param(single(Handing), id="a function that returns an awaitable"),
    pytest.param(single(Telling), id="a function that returns something else"),
    pytest.param(single(Named, ValueError), id="an exception skips nobody in another entry"),
    pytest.param(single(Slow, ValueError), id="an exception in an asynchronous one"),
    pytest.param(single(Handing, ValueError), id="an exception in what was returned"),
    pytest.param(single(Named, TimeoutError), id="a time-out"),
    pytest.param(single(Named, ExceptionGroup), id="a group that cannot even be made"),
    pytest.param(single(Named, exceptions.AddonHalt), id="a halt skips everybody later"),
    pytest.param(single(Slow, exceptions.AddonHalt), id="an asynchronous halt"),
    pytest.param(single(Named, exceptions.OptionsError), id="an options error goes on to the caller"),
    pytest.param(single(Named, asyncio.CancelledError), id="cancelled"),
    pytest.param(single(Slow, asyncio.CancelledError), id="cancelled while waiting"),
    pytest.param(single(Named, GeneratorExit), id="generator exit"),
    pytest.param(single(Broken), id="an attribute that is no function"),
    pytest.param(single(Shadow), id="a module of the hook's name"),
    pytest.param(script((Named, None), (Slow, None)), id="parts of a script"),
    pytest.param(script((Named, ValueError), (Named, None)), id="an exception skips the rest of its script"),
    pytest.param(script((Slow, ValueError), (Named, None)), id="an asynchronous one too"),
    pytest.param(script((Named, None), (Named, exceptions.AddonHalt)), id="a halt in a script"),
    pytest.param(script((Broken, None), (Named, None)), id="no function in a script"),
    pytest.param(script((Named, None), (Broken, None), (Named, None)), id="no function after a good one"),
    pytest.param(lambda _seen: [Unrelated()], id="nobody listens"),
]


class SmallMaster:
    """What an AddonManager asks of its master. The real one brings every built-in addon along."""

    def __init__(self) -> None:
        self.options = Options()
        self.commands = self

    def collect_commands(self, _addon: object) -> None:
        """There are none."""


def manager_of(addons: list[object]) -> AddonManager:
    manager = AddonManager(SmallMaster())
    manager.add(*addons)
    return manager


async def outcome(
    make: Callable[[Seen], list[object]], caplog: pytest.LogCaptureFixture, *, cached: bool, kind: type[hooks.Hook]
) -> list[object]:
    """Return everything that can be seen from outside of two events in a row."""
    caplog.clear()
    seen: Seen = []
    manager = manager_of(make(seen))
    if cached:
        assert dispatcher.install(manager)
    raised: list[object] = []
    for path in (b"/one", b"/two"):
        flow = tflow.tflow()
        flow.request.data.path = path
        try:
            await manager.trigger_event(kind(flow))
        except BaseException as error:  # noqa: BLE001  # compared, whatever it is
            raised.append((type(error), str(error)))
    logged = [(r.levelname, r.getMessage(), r.exc_info[0] if r.exc_info else None) for r in caplog.records]
    return [seen, raised, logged]


@pytest.mark.parametrize("make", SCENARIOS)
async def test_the_cache_changes_nothing_that_can_be_seen(
    make: Callable[[Seen], list[object]], caplog: pytest.LogCaptureFixture
) -> None:
    plain = await outcome(make, caplog, cached=False, kind=HttpRequestHook)
    cached = await outcome(make, caplog, cached=True, kind=HttpRequestHook)
    assert cached == plain


async def test_the_scenarios_tell_one_behaviour_from_another(caplog: pytest.LogCaptureFixture) -> None:
    found = [await outcome(p.values[0], caplog, cached=False, kind=HttpRequestHook) for p in SCENARIOS]
    assert len({repr(x) for x in found}) >= 12


async def test_a_hook_that_nobody_has_calls_nobody(caplog: pytest.LogCaptureFixture) -> None:
    assert await outcome(single(), caplog, cached=True, kind=HttpResponseHook) == [[], [], []]


async def test_an_addon_that_comes_later_is_called() -> None:
    seen: Seen = []
    manager = manager_of([Named("first", seen)])
    dispatcher.install(manager)
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    manager.add(Named("second", seen))
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    assert seen == ["first /path", "first /path", "second /path"]


async def test_an_addon_that_left_is_not_called() -> None:
    seen: Seen = []
    leaving = Named("first", seen)
    manager = manager_of([leaving, Named("second", seen)])
    dispatcher.install(manager)
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    manager.remove(leaving)
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    assert seen == ["first /path", "second /path", "second /path"]


async def test_an_addon_put_in_the_place_of_another_is_called() -> None:
    seen: Seen = []
    old, new = Named("script", seen), Named("script", seen)
    old.name = new.name = "script"
    manager = manager_of([old])
    dispatcher.install(manager)
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    manager.remove(old)
    manager.add(Slow("script", seen))
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    assert len(seen) == 2


async def test_the_part_of_a_script_that_was_loaded_anew_is_called() -> None:
    """As `Script.loadscript` does it: the chain's entry stays, what is below it is another."""
    seen: Seen = []
    old, new = Named("part", seen), Named("part", seen)
    holder = Named("holder", [], None, [old])
    manager = manager_of([holder])
    dispatcher.install(manager)
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    manager.remove(old)
    holder.addons.clear()
    manager.register(new)
    holder.addons.append(new)
    new.name = "new part"
    await manager.trigger_event(HttpRequestHook(tflow.tflow()))
    assert seen == ["part /path", "new part /path"]


async def test_each_hook_has_handlers_of_its_own() -> None:
    seen: Seen = []

    class Both(Named):
        def requestheaders(self, _flow: http.HTTPFlow) -> None:
            self.seen.append("headers")

    manager = manager_of([Both("both", seen)])
    dispatcher.install(manager)
    for hook in (HttpRequestHeadersHook, HttpRequestHook, HttpRequestHeadersHook):
        await manager.trigger_event(hook(tflow.tflow()))
    assert seen == ["headers", "both /path", "headers"]


async def test_an_event_without_arguments_is_dispatched() -> None:
    seen: Seen = []

    class Ready(Named):
        def running(self) -> None:
            self.seen.append("running")

    manager = manager_of([Ready("ready", seen)])
    dispatcher.install(manager)
    await manager.trigger_event(hooks.RunningHook())
    assert seen == ["running"]


async def test_a_hook_about_a_flow_is_followed_by_an_update() -> None:
    for cached in (False, True):
        seen: Seen = []

        class Watching(Named):
            def update(self, flows: list[http.HTTPFlow]) -> None:
                self.seen.append(f"update {len(flows)}")

        manager = manager_of([Watching("watching", seen)])
        if cached:
            dispatcher.install(manager)
        await manager.handle_lifecycle(HttpRequestHook(tflow.tflow()))
        await manager.handle_lifecycle(ClientConnectedHook(tflow.tclient_conn()))
        assert seen == ["watching /path", "update 1"]


async def test_who_begins_to_watch_during_a_hook_sees_the_update() -> None:
    seen: Seen = []

    class Watching(Named):
        def update(self, _flows: list[http.HTTPFlow]) -> None:
            self.seen.append("update")

    class Adding(Named):
        def response(self, _flow: http.HTTPFlow) -> None:
            manager.add(Watching("watching", seen))

    manager = manager_of([Adding("adding", seen)])
    dispatcher.install(manager)
    await manager.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    await manager.handle_lifecycle(HttpResponseHook(tflow.tflow()))
    assert seen == ["adding /path", "update"]


PRIVATE = {"handle_lifecycle", "trigger_event", "_iter_hooks", "chain", "lookup"}


@pytest.mark.parametrize("name", sorted(PRIVATE))
def test_a_mitmproxy_that_dispatches_otherwise_is_left_alone(name: str) -> None:
    class Other:
        pass

    manager = Other()
    for known in PRIVATE - {name}:
        setattr(manager, known, known)
    before = dict(vars(manager))
    assert not dispatcher.install(manager)
    assert vars(manager) == before
