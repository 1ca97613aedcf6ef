"""What Prometheus gets: figures of few labels, none of which a caller can make up."""

from dataclasses import replace

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.fakes.processes import free_port

from holdpoint.domain.access import Protocol
from holdpoint.settings import Address, Metrics
from holdpoint.telemetry.ended import Ended
from holdpoint.telemetry.few import MOST_ERRORS, MOST_TOOLS
from holdpoint.telemetry.prometheus import Gauges, Prometheus

CALL = Ended(
    target="demo",
    protocol=Protocol.MCP,
    outcome="answered",
    began_at=1_800_000_000.0,
    seconds=0.02,
    method="tools/call",
    permitted=True,
    tool="read_note",
    masked=3,
)


def meter() -> Prometheus:
    gauges = Gauges(healthy=lambda: True, pending=lambda: 4, exchanges=lambda: 2, bundle=lambda: "sha256:abc")
    return Prometheus(gauges, frozenset({"tools/call", "tools/list"}))


def figures(of: Prometheus) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    port = free_port()
    of.listen(Metrics(Address("127.0.0.1", port)))
    try:
        with httpx.Client(trust_env=False) as client:
            text = client.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        of.close()
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_calls_refusals_masks_and_gauges_are_counted() -> None:
    subject = meter()
    subject.ended(CALL)
    subject.ended(replace(CALL, outcome="refused", refusal="denied", error="4030", masked=0))
    found = figures(subject)
    answered = (("method", "tools/call"), ("outcome", "answered"), ("target", "demo"))
    assert found["holdpoint_exchanges_total", answered] == 1
    assert found["holdpoint_refusals_total", (("kind", "denied"), ("target", "demo"))] == 1
    assert found["holdpoint_masked_values_total", (("target", "demo"),)] == 3
    assert found["holdpoint_pending_approvals", ()] == 4
    assert found["holdpoint_open_exchanges", ()] == 2
    assert found["holdpoint_healthy", ()] == 1
    labels = (
        ("error_type", ""),
        ("gen_ai_tool_name", "read_note"),
        ("mcp_method_name", "tools/call"),
        ("target", "demo"),
    )
    assert found["mcp_server_operation_duration_seconds_count", labels] == 1


def test_names_that_a_caller_made_up_become_no_labels() -> None:
    subject = meter()
    for number in range(50):
        subject.ended(replace(CALL, method=f"made/up{number}", tool=f"made-up-{number}", permitted=False))
    labels = {value for (_, pairs) in figures(subject) for _, value in pairs}
    assert not [label for label in labels if "made" in label]
    assert "other" in labels


def test_tools_have_figures_of_their_own_up_to_a_number() -> None:
    subject = meter()
    for number in range(MOST_TOOLS + 20):
        subject.ended(replace(CALL, tool=f"tool-{number}"))
    tools = {dict(pairs).get("gen_ai_tool_name") for (_, pairs) in figures(subject)} - {None}
    assert len(tools) == MOST_TOOLS + 1
    assert "other" in tools


def test_errors_that_a_server_made_up_become_labels_up_to_a_number() -> None:
    subject = meter()
    for number in range(MOST_ERRORS + 200):
        subject.ended(replace(CALL, error=str(-number - 1)))
    errors = {dict(pairs).get("error_type") for (_, pairs) in figures(subject)} - {None}
    assert len(errors) == MOST_ERRORS + 1
    assert "other" in errors
