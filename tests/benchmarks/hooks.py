"""What each hook of each stage costs, without mitmproxy around it: real services, real disk, one exchange at a time.

python -m tests.benchmarks.hooks [PROFILE ...]
"""

import asyncio
import inspect
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from mitmproxy import http
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy.mode_specs import ProxyMode
from tests.benchmarks.profiles import HTTP_ANSWER, MCP_ANSWER, PROFILES, Profile
from tests.benchmarks.subjects import TOKEN_VARIABLE, UPSTREAM_TOKEN, mint, write_settings
from tests.fakes.issuer import FakeIssuer
from tests.fakes.processes import ROOT

import gateway as pipeline
from holdpoint.settings import Settings
from holdpoint.settings_file import load_settings
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.lifecycle import Lifecycle
from holdpoint.stages.opening import open_services

HOOKS = ("requestheaders", "request", "responseheaders", "response")
_CLIENTS: dict[str, Client] = {}
_SERVER = Server(address=None)
"""Connections are kept alive: many exchanges share them."""
type Spent = dict[tuple[str, str], list[float]]


def make_flow(profile: Profile, settings: Settings, token: str) -> http.HTTPFlow:
    """Make a flow as it comes to a reverse listener."""
    address = settings.listeners[0].address
    client = _CLIENTS.get(profile.name) or Client(
        peername=("127.0.0.1", 40_000),
        sockname=(address.host, address.port),
        timestamp_start=time.time(),  # what mitmproxy puts there
        state=ConnectionState.OPEN,
        proxy_mode=ProxyMode.parse(f"reverse:http://holdpoint.invalid:1@{address.host}:{address.port}"),
    )
    _CLIENTS[profile.name] = client
    flow = http.HTTPFlow(client, _SERVER, live=True)
    head, _, body = profile.request(address.port, token).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    fields = tuple((n, v) for n, _, v in (x.partition(b": ") for x in lines[1:]))
    now = time.time()
    flow.request = http.Request(
        host="holdpoint.invalid",
        port=1,
        method=profile.method.encode(),
        scheme=b"http",
        authority=b"",
        path=profile.path.encode(),
        http_version=b"HTTP/1.1",
        headers=http.Headers(fields),
        content=body,
        trailers=None,
        timestamp_start=now,
        timestamp_end=now,
    )
    return flow


def make_answer(profile: Profile) -> http.Response:
    """Make the upstream's answer."""
    body = MCP_ANSWER if profile.method == "POST" else HTTP_ANSWER
    fields = ((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body)))
    now = time.time()
    return http.Response(b"HTTP/1.1", 200, b"OK", http.Headers(fields), body, None, now, now)


async def _exchange(stages: list[object], profile: Profile, settings: Settings, token: str, spent: Spent) -> None:
    flow = make_flow(profile, settings, token)
    for name in HOOKS:
        if name == "responseheaders":
            if flow.response is not None:
                raise RuntimeError(f"refused: {flow.response.content!r}")
            flow.response = make_answer(profile)
        for stage in stages:
            hook = getattr(stage, name, None)
            if hook is None:
                continue
            start = time.thread_time()
            result = hook(flow)
            if inspect.isawaitable(result):
                await result
            spent[type(stage).__name__.lower(), name].append(time.thread_time() - start)


async def _measure(folder: Path, profiles: tuple[Profile, ...], rounds: int) -> dict[str, Spent]:
    gateway: Gateway = pipeline.gateway
    stages: list[object] = [s for s in pipeline.addons if not isinstance(s, Lifecycle)]
    found: dict[str, Spent] = {}
    with FakeIssuer() as issuer:
        file = write_settings(folder, port=8080, upstream=1, issuer=issuer)
        settings = load_settings(file, {TOKEN_VARIABLE: UPSTREAM_TOKEN})

        async def never() -> str:
            raise RuntimeError("nobody reloads")

        services = await open_services(settings, gateway.clock, never)
        gateway.settings, address = settings, settings.listeners[0].address
        gateway.listeners = {(address.host, address.port): settings.listeners[0]}
        gateway.open(services)
        token = mint(issuer)
        for profile in profiles:
            for _ in range(rounds // 10):
                await _exchange(stages, profile, settings, token, defaultdict(list))
            spent = found[profile.name] = defaultdict[tuple[str, str], list[float]](list)
            for _ in range(rounds):
                await _exchange(stages, profile, settings, token, spent)
        await services.close()
    return found


def measure(folder: Path, profiles: tuple[Profile, ...] = PROFILES, rounds: int = 500) -> dict[str, dict[str, float]]:
    """Return microseconds of the event loop's thread for each profile and hook, and their sum.

    Of all exchanges the lower decile: what a hook costs when nothing else is in the way, which a busy machine lets see.
    """
    import os

    os.environ[TOKEN_VARIABLE] = UPSTREAM_TOKEN
    found = asyncio.run(_measure(folder, profiles, rounds))
    by_hook: dict[str, dict[str, float]] = {}
    for profile, spent in found.items():
        each = {f"{stage}.{hook}": statistics.quantiles(v, n=10)[0] * 1e6 for (stage, hook), v in spent.items()}
        by_hook[profile] = {**each, "sum": sum(each.values())}
    return by_hook


def main() -> None:
    """Print a table."""
    chosen = tuple(p for p in PROFILES if not sys.argv[1:] or p.name in sys.argv[1:])
    with tempfile.TemporaryDirectory(dir=ROOT / "var") as folder:
        for profile, each in measure(Path(folder), chosen).items():
            sys.stdout.write(f"{profile}\n" + "".join(f"  {k:30}{v:8.1f} us\n" for k, v in each.items()))


if __name__ == "__main__":
    main()
