"""Measure a decision by 30 rules of which 10 reach CEL. For `scripts/bench`; asserts nothing about time."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from holdpoint.domain.access import AccessRequest, Action, McpTool, Principal, Protocol
from holdpoint.domain.values import JsonObject
from holdpoint.policy.bundle import Bundle, load_bundle
from holdpoint.policy.engine import Engine

RULES = 30
WITH_CEL = 10
_HEAD = """apiVersion: holdpoint/v1
kind: Policy
metadata: {name: benchmark}
targets: [benchmark]
rules:
"""
_WITH_CEL = """  - name: condition-{i}
    effect: deny
    match: {{verbs: [tools/call], tools: ["scale_*"]}}
    when: principal.groups.exists(g, g == "sre") && request.verb in ["tools/call"] && args.replicas > {n}
"""
_PLAIN = """  - name: plain-{i}
    effect: allow
    match: {{verbs: [tools/call], tools: ["scale_{suffix}"], principals: {{groups: [sre]}}}}
"""


def write_bundle(folder: Path) -> Path:
    """Write the policy that is measured, and return its file."""
    file = folder / "benchmark.yaml"
    rules = [_WITH_CEL.format(i=i, n=1_000 + i) for i in range(WITH_CEL)]
    rules += [_PLAIN.format(i=i, suffix="*" if i == WITH_CEL else i) for i in range(WITH_CEL, RULES)]
    file.write_text(_HEAD + "".join(rules), encoding="utf-8")
    return file


def load(folder: Path) -> Bundle:
    """Write and load the policy that is measured."""
    return load_bundle([write_bundle(folder)], targets={"benchmark": Protocol.MCP})


def sample_request() -> AccessRequest:
    """Make a request with about 2 KB of arguments, that every condition of the policy is asked about."""
    labels: JsonObject = {f"app.example.com/label-{i}": f"value {i} of a label" for i in range(40)}
    arguments: JsonObject = {"replicas": 5, "deployment": "web", "labels": labels}
    principal = Principal(
        "https://idp.example.com", "ada", "human", person="ada@example.com", groups=frozenset({"dev", "sre"})
    )
    action = Action(Protocol.MCP, "tools/call")
    return AccessRequest(principal, "benchmark", action, McpTool("scale_deployment"), arguments, at=1_800_000_000.0)


def measure(bundle: Bundle, timer: Callable[[], float], *, rounds: int = 2_000) -> Sequence[float]:
    """Return the seconds of each decision, by `timer` (seconds of a steady clock)."""
    engine, request = Engine(bundle), sample_request()
    seconds: list[float] = []
    for _ in range(rounds):
        start = timer()
        engine.decide(request)
        seconds.append(timer() - start)
    return seconds


def report(seconds: Sequence[float]) -> str:
    """Say median and 99th percentile in one line."""
    p99 = statistics.quantiles(seconds, n=100)[98]
    return (
        f"policy: {RULES} rules, {WITH_CEL} with CEL: "
        f"median {statistics.median(seconds) * 1e6:.1f} µs, p99 {p99 * 1e6:.1f} µs a decision"
    )
