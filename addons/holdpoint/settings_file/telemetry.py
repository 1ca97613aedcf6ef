"""Reads `metrics:` and `otlp:`: what operators watch."""

from collections.abc import Sequence

from holdpoint.located_yaml import Located
from holdpoint.settings import Console, Listener, Metrics, Otlp
from holdpoint.settings_file import schema
from holdpoint.settings_file.addresses import is_loopback, read_listen, read_url
from holdpoint.settings_file.listeners import refuse_taken
from holdpoint.settings_file.places import Places


def read_metrics(
    value: Located | None, places: Places, listeners: Sequence[Listener], console: Console | None
) -> Metrics | None:
    """Read where Prometheus scrapes. Raises ConfigError."""
    if value is None:
        return None
    fields = schema.METRICS.read(value)
    address = read_listen(fields["listen"])
    refuse_taken(fields["listen"], address, listeners)
    if console is not None and address == console.address:
        raise fields["listen"].error(f"`{address}` is taken by the console")
    tls = places.tls(schema.METRICS_TLS, fields.get("tls"))
    if tls is None and not is_loopback(address.host):
        raise fields["listen"].error(
            "plain HTTP is for loopback only: give the metrics `tls: {certificate, key}` or listen on `127.0.0.1`"
        )
    return Metrics(address, tls)


def read_otlp(value: Located | None) -> Otlp | None:
    """Read where spans and metrics are sent. Raises ConfigError."""
    if value is None:
        return None
    fields = schema.OTLP.read(value)
    url = read_url(fields["endpoint"], what="the collector")
    sample = fields.get("sample")
    part = sample.number() if sample else 1.0
    if sample is not None and not 0 <= part <= 1:
        raise sample.error("expected a part between 0 (none) and 1 (all)")
    return Otlp(f"{url.origin}{url.path}", part)
