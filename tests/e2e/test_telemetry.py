"""Operators see what passes: Prometheus scrapes the gateway, a collector gets its spans, and neither gets a secret."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.fakes.collector import Collector
from tests.fakes.processes import free_port
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e

CALLS: list[tuple[str, dict[str, object]]] = [
    ("read_secret", {"name": "db"}),
    ("drop_everything", {"why": "password=hunter2"}),
    ("read_note", {}),
]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as started:
        yield started


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory, collector: Collector, metrics_port: int) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("metered")
    environment = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
    with World(folder, json_response=True, stateless=True, env=environment) as world:
        more = f'\nmetrics: {{listen: "127.0.0.1:{metrics_port}"}}\notlp: {{endpoint: "{collector.url}"}}\nstore:'
        world.write_settings(**{"\nstore:": more})
        world.start()
        with world.client() as client:
            for tool, arguments in CALLS:
                message = call(tool, arguments)
                message["params"]["_meta"] = {"traceparent": PARENT}
                client.post(world.url, headers=world.headers(), json=message)
            client.post(world.url, json=call("read_note"))
        yield world


def test_prometheus_sees_calls_and_refusals(metered: World, metrics_port: int) -> None:
    assert metered.gateway is not None
    with httpx.Client(trust_env=False) as client:
        text = client.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    assert 'holdpoint_exchanges_total{method="tools/call",outcome="answered",target="demo"} 2.0' in text
    assert 'holdpoint_refusals_total{kind="denied",target="demo"} 1.0' in text
    assert 'holdpoint_refusals_total{kind="unauthenticated",target="demo"} 1.0' in text
    assert 'gen_ai_tool_name="read_secret"' in text
    assert "holdpoint_healthy 1.0" in text


def test_a_collector_gets_a_span_for_each_call_joined_to_the_callers_trace(
    metered: World, collector: Collector
) -> None:
    assert metered.gateway is not None
    spans = [collector.spans.get(timeout=20) for _ in CALLS]
    by_tool = {span.get("gen_ai.tool.name"): span for span in spans}
    answered = by_tool["read_secret"]
    assert answered["name"] == "tools/call read_secret"
    assert (answered["trace"], answered["mcp.method.name"]) == (TRACE, "tools/call")
    assert answered["gen_ai.operation.name"] == "execute_tool"
    assert answered["mcp.protocol.version"] == "2025-11-25"
    denied = by_tool[None]
    assert (denied["name"], denied["holdpoint.refusal"], denied["status"]) == ("tools/call", "denied", 2)
    failed = by_tool["read_note"]
    assert (failed["error.type"], failed["status"], failed["holdpoint.outcome"]) == ("tool_error", 2, "answered")
    assert "hunter2" not in str(spans)
    assert collector.metrics.get(timeout=20) == "mcp.server.operation.duration"


def test_a_collector_that_is_down_harms_no_call(tmp_path: Path) -> None:
    with World(tmp_path, json_response=True, stateless=True) as world:
        world.write_settings(**{"\nstore:": f'\notlp: {{endpoint: "http://127.0.0.1:{free_port()}"}}\nstore:'})
        world.start()
        with world.client() as client:
            answer = client.post(world.url, headers=world.headers(), json=call("read_secret"))
        assert (answer.status_code, "result" in answer.json()) == (200, True)
