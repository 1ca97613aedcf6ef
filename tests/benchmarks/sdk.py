"""Calls by the MCP SDK's own client, and streams of events: direct, through a bare mitmdump, through the pipeline."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tests.benchmarks import peers as others
from tests.benchmarks.events import Delays, Stream
from tests.benchmarks.profiles import EVENT_SIZES, SECRET, stream_call
from tests.benchmarks.sdk_client import LEGACY, MODERN, Calls, Timed
from tests.benchmarks.sdk_server import PATHS, TOOL
from tests.benchmarks.subjects import (
    TOKEN_VARIABLE,
    UPSTREAM_TOKEN,
    Worker,
    cpu_of,
    mint,
    start,
    target,
    write_gateway,
    write_policies,
)
from tests.benchmarks.trials import BARE, DIRECT, PIPELINE, Round, Took, Trial, trial
from tests.fakes.issuer import FakeIssuer
from tests.fakes.processes import GATEWAY, MITMDUMP, ROOT, Program, free_port

SDK, STREAM = "mcp-sdk", "mcp-stream"
_CALL_MS = _CHUNK_MS = 0.5
_EVENTS = "/events"
_MUST = "scaled web"
_LIFECYCLE = """  - name: lifecycle
    effect: allow
    match: {verbs: [initialize, "notifications/*", ping, tools/list, server/discover, session/listen, session/delete]}
"""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured."""

    rounds: int
    calls: int
    """SDK calls of one way in a round."""
    events: int
    """Events of one way in a round."""


FULL = Amount(rounds=6, calls=120, events=200)
QUICK = Amount(rounds=3, calls=40, events=60)
_WARM_UP = 15


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to a server."""

    port: int
    program: Program | None = None
    token: str = ""
    never: str = ""


@dataclass(slots=True)
class _Field:
    """What runs."""

    calls: dict[str, _Way]
    """Ways to the SDK's server."""
    streams: dict[str, _Way]
    caller: Worker[Calls, Timed]
    reader: Worker[Stream, Delays]
    peers: list[others.Peer]


@contextmanager
def _open(folder: Path, *, with_peers: bool) -> Iterator[_Field]:
    with ExitStack() as stack:
        sdk, events, at_sdk, at_events, gateway = (free_port() for _ in range(5))
        for module, port, says in (("sdk_server", sdk, "sdk server"), ("events", events, "events")):
            start([sys.executable, "-m", f"tests.benchmarks.{module}", str(port)], stack).wait_for(f"{says}: serving")
        issuer = stack.enter_context(FakeIssuer())
        token = mint(issuer)
        modes = [f"reverse:http://127.0.0.1:{to}@127.0.0.1:{at}" for at, to in ((at_sdk, sdk), (at_events, events))]
        script = str(ROOT / "tests" / "benchmarks" / "bare_events.py")
        command = [str(MITMDUMP), "-s", script, "--set", f"confdir={folder / 'bare'}", "--set", "flow_detail=0"]
        bare = start([*command, *(x for mode in modes for x in ("--mode", mode))], stack)
        for _ in modes:
            bare.wait_for("listening at")
        settings = _settings(folder, gateway, issuer, sdk, events)
        command = [str(MITMDUMP), "-s", str(GATEWAY), "--set", f"holdpoint_config={settings}"]
        pipeline = start(command, stack, **{TOKEN_VARIABLE: UPSTREAM_TOKEN})
        pipeline.wait_for("holdpoint: serving")
        yield _Field(
            calls={DIRECT: _Way(sdk), BARE: _Way(at_sdk, bare), PIPELINE: _Way(gateway, pipeline, token, SECRET)},
            streams={DIRECT: _Way(events), BARE: _Way(at_events, bare), PIPELINE: _Way(gateway, pipeline, token)},
            caller=stack.enter_context(Worker("tests.benchmarks.sdk_client", Timed)),
            reader=stack.enter_context(Worker("tests.benchmarks.events", Delays)),
            peers=_peers(folder, f"http://127.0.0.1:{sdk}{PATHS['json']}", stack) if with_peers else [],
        )


def _settings(folder: Path, port: int, issuer: FakeIssuer, sdk: int, events: int) -> Path:
    """The same 30 rules and masks as for the other profiles, and one that lets clients connect."""
    policies = folder / "policies"
    policies.mkdir()
    write_policies(policies)
    file = policies / "benchmark.yaml"
    names = [*PATHS, "events"]
    rules = file.read_text().replace("targets: [benchmark]", f"targets: [{', '.join(names)}]")
    file.write_text(rules + _LIFECYCLE)
    targets = "".join(target(name, f"http://127.0.0.1:{sdk}{path}", path) for name, path in PATHS.items())
    targets += target("events", f"http://127.0.0.1:{events}{_EVENTS}", _EVENTS)
    return write_gateway(policies, port, issuer, targets, "benchmark.yaml")


def _peers(folder: Path, upstream: str, stack: ExitStack) -> list[others.Peer]:
    try:
        return others.start_all(folder, upstream, TOOL, stack)
    except others.NoPeersError as error:
        sys.stderr.write(f"NOT MEASURED: the peers ({', '.join(others.PINNED)}): {error}\n")
        return []


def measure(folder: Path, amount: Amount, profiles: tuple[str, ...], *, with_peers: bool) -> list[Trial]:
    """Measure what of `mcp-sdk` and `mcp-stream` is asked for. Raises RuntimeError where an answer is not right."""
    found: list[Trial] = []
    with _open(folder, with_peers=with_peers) as field_:
        if SDK in profiles:
            for version in (MODERN, LEGACY):
                for kind in PATHS:
                    name = f"{SDK} {version} {kind}"
                    rounds = [_calls(field_, version, kind, amount.calls) for _ in range(amount.rounds)]
                    found.append(trial(name, rounds, budget_ms=_CALL_MS))
        if STREAM in profiles:
            for tool, size in EVENT_SIZES.items():
                name = f"{STREAM} {size} B events"
                rounds = [_events(field_, tool, size, amount.events) for _ in range(amount.rounds)]
                found.append(trial(name, rounds, budget_ms=_CHUNK_MS))
    return found


def _calls(field_: _Field, version: str, kind: str, calls: int) -> Round:
    ways = {
        way: (f"http://127.0.0.1:{w.port}{PATHS[kind]}", w.token, w.never, w.program) for way, w in field_.calls.items()
    }
    if kind == "json":  # the peers choose by themselves how they answer: they are measured once for each version
        ways |= {p.name: (p.url, p.token, "", p.program) for p in field_.peers}
    found: dict[str, Took] = {}
    for way, (url, token, never, program) in ways.items():
        job = Calls(url, token, version, kind == "sse", _WARM_UP, calls, never, _MUST)
        before = _cpu(program)
        done = field_.caller.run(job)
        spoken = version if way in field_.calls else done.version
        _check(way, job, done.failures or done.version != spoken, f"{done.version} {done.example}")
        found[way] = Took(done.latencies, (_cpu(program) - before) / (calls + _WARM_UP))
    return found


def _events(field_: _Field, tool: str, size: int, events: int) -> Round:
    pause = 0.002 if size < 1_000 else 0.008  # seconds: no event waits for the one before it
    found: dict[str, Took] = {}
    for way, w in field_.streams.items():
        job = Stream(w.port, stream_call(_EVENTS, tool, events, pause).request(w.port, w.token), events)
        before = _cpu(w.program)
        done = field_.reader.run(job)
        _check(way, job, done.failures, done.example.decode("utf-8", "replace"))
        found[way] = Took(done.delays, (_cpu(w.program) - before) / events)
    return found


def _cpu(program: Program | None) -> float:
    return cpu_of(program) if program is not None else 0.0


def _check(way: str, job: msgspec.Struct, is_wrong: object, example: str) -> None:
    if is_wrong:
        raise RuntimeError(f"{way}: an answer to a {type(job).__name__} was wrong: {example}")
