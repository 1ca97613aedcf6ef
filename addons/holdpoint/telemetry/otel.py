"""Spans and metrics for an OpenTelemetry collector, by the semantic conventions for MCP (status: development).

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md. The extra `holdpoint[otel]`.
What the conventions call opt-in, arguments and results, is never exported: recordings hold them, masked.
"""

from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from holdpoint import __version__
from holdpoint.domain.access import Protocol
from holdpoint.settings import Otlp
from holdpoint.telemetry.ended import Ended
from holdpoint.telemetry.few import Few

_FLUSH_MS: Final = 2_000
_TIMEOUT: Final = 2.0
"""Seconds for one export with its retries: the end of the process waits for the last one."""
_SERVICE: Final = "holdpoint"
_NANO: Final = 1_000_000_000
_FROM_TRACE_PARENT = TraceContextTextMapPropagator()
_BUCKETS: Final = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]
"""As the conventions advise for `mcp.server.operation.duration`."""


class OpenTelemetry:
    """A meter that exports in the background. A collector that is down costs spans, never a request."""

    def __init__(
        self, spans: SpanExporter, metrics: MetricExporter, known_methods: frozenset[str], *, sample: float = 1.0
    ) -> None:
        self._few = Few(known_methods)
        resource = Resource.create({"service.name": _SERVICE, "service.version": __version__})
        self._traces = TracerProvider(
            resource=resource, sampler=ParentBased(TraceIdRatioBased(sample)), shutdown_on_exit=False
        )
        self._traces.add_span_processor(BatchSpanProcessor(spans))
        self._metrics = MeterProvider(
            [PeriodicExportingMetricReader(metrics)], resource=resource, shutdown_on_exit=False
        )
        self._tracer = self._traces.get_tracer("holdpoint", __version__)
        self._duration: Histogram = self._metrics.get_meter("holdpoint", __version__).create_histogram(
            "mcp.server.operation.duration",
            unit="s",
            description="MCP request or notification duration as observed on the receiver",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def ended(self, what: Ended) -> None:
        """Export one exchange as a span, and its duration."""
        if what.protocol is not Protocol.MCP or not what.method:
            return
        known = attributes(what)
        began = int(what.began_at * _NANO)
        named = " ".join(filter(None, (what.method, what.tool or what.prompt))) if what.permitted else what.method
        span = self._tracer.start_span(
            named,
            context=_parent(what),
            kind=SpanKind.SERVER,
            attributes={**known, **_particulars(what)},
            start_time=began,
        )
        if what.error:
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + int(what.seconds * _NANO))
        # Spans are many anyway; figures are of few values.
        self._duration.record(what.seconds, attributes(self._few(what)))

    def close(self) -> None:
        """Send what is left, for a few seconds."""
        self._traces.force_flush(_FLUSH_MS)
        self._traces.shutdown()
        self._metrics.shutdown(_FLUSH_MS)


def attributes(what: Ended) -> dict[str, str | int]:
    """Return what metrics and spans share."""
    known: dict[str, str | int] = {
        "mcp.method.name": what.method,
        "network.transport": "tcp",
        "network.protocol.name": "http",
    }
    optional: Mapping[str, str | int] = {
        "error.type": what.error,
        "mcp.protocol.version": what.version,
        "network.protocol.version": what.http_version,
        "server.address": what.server,
        "server.port": what.port,
    }
    known |= {name: value for name, value in optional.items() if value}
    if what.permitted and what.tool:
        known["gen_ai.tool.name"] = what.tool
        known["gen_ai.operation.name"] = "execute_tool"
    if what.permitted and what.prompt:
        known["gen_ai.prompt.name"] = what.prompt
    if what.error.lstrip("-").isdigit():
        known["rpc.response.status_code"] = what.error
    return known


def _particulars(what: Ended) -> dict[str, str | int | tuple[str, ...]]:
    """Return what is for spans alone."""
    particulars: dict[str, str | int | tuple[str, ...]] = {
        "jsonrpc.request.id": what.request_id,
        "mcp.session.id": what.session,
        "mcp.resource.uri": what.uri,
        "http.response.status_code": what.status,
        "holdpoint.target": what.target,
        "holdpoint.exchange": what.exchange,
        "holdpoint.outcome": what.outcome,
        "holdpoint.refusal": what.refusal,
        "holdpoint.rules": what.rules,
        "enduser.id": what.principal,
    }
    return {name: value for name, value in particulars.items() if value}


def _parent(what: Ended) -> Context | None:
    if not what.parent:
        return None
    return _FROM_TRACE_PARENT.extract({"traceparent": what.parent, "tracestate": what.trace_state})


def exporting(to: Otlp, known_methods: frozenset[str]) -> OpenTelemetry:
    """Return a meter that exports over OTLP (HTTP, protobuf). Headers and certificates: `OTEL_EXPORTER_OTLP_*`."""
    base = to.endpoint.rstrip("/")
    spans = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_TIMEOUT)
    metrics = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_TIMEOUT)
    return OpenTelemetry(spans, metrics, known_methods, sample=to.sample)
