"""Metrics in the Prometheus text format, on a listener of their own.

Labels never hold what a caller made up: methods are those that the protocols know, tools those that policy let through,
and of these, as of the errors that servers answer, a bounded number.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from holdpoint import __version__
from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import Metrics
from holdpoint.telemetry.ended import Ended
from holdpoint.telemetry.few import Few

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is looked up at the moment of a scrape, from another thread: each must be safe there."""

    healthy: Callable[[], bool]
    pending: Callable[[], int]
    """Approval requests that wait for a reviewer."""
    exchanges: Callable[[], int]
    """Exchanges under way: held, streaming, or waiting for an upstream."""
    bundle: Callable[[], str]
    notices: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """Notices that wait to be delivered, and those that were given up."""


class Prometheus:
    """A meter that is scraped."""

    def __init__(self, gauges: Gauges, known_methods: frozenset[str]) -> None:
        self.registry = CollectorRegistry()
        self._few = Few(known_methods)
        self._exchanges = Counter(
            "holdpoint_exchanges", "Exchanges that ended", ["target", "method", "outcome"], registry=self.registry
        )
        self._refusals = Counter("holdpoint_refusals", "Refusals by kind", ["target", "kind"], registry=self.registry)
        self._masked = Counter(
            "holdpoint_masked_values", "Values masked in answers", ["target"], registry=self.registry
        )
        self._duration = Histogram(
            "mcp_server_operation_duration_seconds",
            "MCP requests and notifications as the caller saw them, held time included",
            ["target", "mcp_method_name", "gen_ai_tool_name", "error_type"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Looked(gauges))
        self._stop: Callable[[], None] = lambda: None

    def listen(self, at: Metrics) -> None:
        """Serve `/metrics` from a thread of its own. Raises ConfigError."""
        tls = at.tls
        try:
            server, thread = start_http_server(
                at.address.port,
                addr=at.address.host,
                registry=self.registry,
                certfile=str(tls.certificate) if tls else None,
                keyfile=str(tls.key) if tls else None,
            )
        except (OSError, ValueError) as error:
            raise ConfigError(f"metrics cannot be served at {at.address}: {error}") from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(timeout=5)

        self._stop = stop

    def ended(self, what: Ended) -> None:
        """Count one exchange."""
        what = self._few(what)
        method = what.method
        self._exchanges.labels(what.target, method, what.outcome).inc()
        if what.refusal:
            self._refusals.labels(what.target, what.refusal).inc()
        if what.masked:
            self._masked.labels(what.target).inc(what.masked)
        if what.protocol == "mcp" and method:
            self._duration.labels(what.target, method, what.tool, what.error).observe(what.seconds)

    def close(self) -> None:
        """Stop serving."""
        self._stop()


class _Looked(Collector):
    """Gauges that are looked up when asked for."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[GaugeMetricFamily]:
        gauges = self._gauges
        info = GaugeMetricFamily("holdpoint_info", "Version and policies in force", labels=["version", "bundle"])
        info.add_metric([__version__, gauges.bundle()], 1)
        yield info
        yield GaugeMetricFamily("holdpoint_healthy", "1 while records can be written", value=float(gauges.healthy()))
        yield GaugeMetricFamily(
            "holdpoint_pending_approvals", "Requests that wait for a reviewer", value=gauges.pending()
        )
        yield GaugeMetricFamily("holdpoint_open_exchanges", "Exchanges under way", value=gauges.exchanges())
        due, dead = gauges.notices()
        yield GaugeMetricFamily("holdpoint_due_notices", "Notices that wait to be delivered", value=due)
        yield GaugeMetricFamily("holdpoint_dead_notices", "Notices that were given up", value=dead)
