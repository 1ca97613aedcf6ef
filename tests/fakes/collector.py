"""An OpenTelemetry collector on loopback: takes OTLP over HTTP and keeps what it got."""

import gzip
from http.server import BaseHTTPRequestHandler
from queue import Queue

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.fakes.serving import Handler, Threaded


class Collector(Threaded):
    """A context manager."""

    def __init__(self) -> None:
        self.spans: Queue[dict[str, object]] = Queue()
        self.metrics: Queue[str] = Queue()
        outer = self

        class Taking(Handler, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.heard()
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(self.path, body)
                self.say(200, b"", content_type="application/x-protobuf")

        super().__init__(Taking)

    def take(self, path: str, body: bytes) -> None:
        """Keep what an export holds."""
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans.put(
                            {
                                "name": span.name,
                                "kind": span.kind,
                                "trace": span.trace_id.hex(),
                                "parent": span.parent_span_id.hex(),
                                "status": span.status.code,
                                "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                                **{a.key: _value(a.value) for a in span.attributes},
                            }
                        )
        elif path == "/v1/metrics":
            for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in metrics.scope_metrics:
                    for metric in scope.metrics:
                        self.metrics.put(metric.name)


def _value(value: object) -> object:
    kind = value.WhichOneof("value")  # type: ignore[attr-defined]
    found = getattr(value, kind)
    return [_value(v) for v in found.values] if kind == "array_value" else found
