"""What a collector gets: figures that no caller can drown in names of its own."""

from dataclasses import replace

from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.unit.telemetry.test_prometheus import CALL

from holdpoint.telemetry.otel import OpenTelemetry


class Kept(MetricExporter):
    """Keeps the last export."""

    def __init__(self) -> None:
        super().__init__(preferred_temporality={Histogram: AggregationTemporality.CUMULATIVE})
        self.last: MetricsData | None = None

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_more: object) -> MetricExportResult:  # noqa: ARG002  # their signature
        self.last = metrics_data
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:  # noqa: ARG002  # their signature
        return True

    def shutdown(self, timeout_millis: float = 0, **_more: object) -> None:
        pass


def test_names_that_a_caller_made_up_become_no_figures() -> None:
    kept = Kept()
    subject = OpenTelemetry(InMemorySpanExporter(), kept, frozenset({"tools/call"}))
    subject.ended(CALL)
    for number in range(300):
        made_up = f"made/up{number}"
        subject.ended(replace(CALL, method=made_up, tool=made_up, permitted=False, error="4030"))
        subject.ended(replace(CALL, error=str(-number - 1)))
    subject.close()
    assert kept.last is not None
    points = kept.last.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert len(points) < 60
    assert not [p for p in points if "made" in str(dict(p.attributes or {}))]
