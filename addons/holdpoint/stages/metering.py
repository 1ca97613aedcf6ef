"""What meters are told of an exchange that ended: masked, and without what opens anything."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from mitmproxy import http

from holdpoint.domain.access import McpPrompt, McpResource, McpTool
from holdpoint.domain.exchange import Decoded, Refused, decoded, received
from holdpoint.domain.refusal import ConfigError
from holdpoint.policy import verbs
from holdpoint.protocols.mcp_refusals import CODES
from holdpoint.settings import Otlp, Settings
from holdpoint.stages import describe
from holdpoint.stages.exchanges import Exchange, Exchanges
from holdpoint.stages.sealing import masked_path
from holdpoint.stages.services import Services
from holdpoint.telemetry.ended import Ended
from holdpoint.telemetry.meters import Meter
from holdpoint.telemetry.prometheus import Gauges, Prometheus

_METHODS = verbs.MCP | verbs.HTTP | verbs.KUBERNETES
MOST_CHARACTERS = 256
"""Of any one attribute: what callers send may be longer than anybody wants to read."""


def meter(services: Services, flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Tell the meters, if there are any."""
    if services.meters.wanted:
        services.meters.ended(ended(services, flow, exchange))


def ended(services: Services, flow: http.HTTPFlow, exchange: Exchange) -> Ended:
    """Put together what is known."""
    state = exchange.state
    refusal = state.refusal if isinstance(state, Refused) else None
    asked, who, first, ruled = decoded(state), describe.who_asks(state), received(state), describe.permitted(state)
    masker = services.policies.masker(exchange.masks)
    target = exchange.target
    tool, prompt, uri = _named(asked)
    return Ended(
        target=target.name if target else "",
        protocol=target.protocol if target else None,
        outcome=describe.outcome(state),
        began_at=first.at if first else services.clock.now(),
        seconds=max(0.0, services.clock.monotonic() - exchange.began),
        method=_text(asked.access.action.verb) if asked else "",
        permitted=ruled is not None,
        tool=_text(tool),
        prompt=_text(prompt),
        uri=_text(masked_path(uri, masker)) if uri else "",
        refusal=refusal.kind.value if refusal else "",
        error=exchange.answer_error if refusal is None else str(CODES[refusal.kind]),
        request_id=_text(str(asked.request_id)) if asked and asked.request_id is not None else "",
        version=asked.protocol_version if asked else "",
        session=exchange.session.id if exchange.session else "",
        exchange=exchange.id,
        principal=_text(who.id) if who else "",
        rules=tuple(str(r) for r in ruled.decision.rules) if ruled else (),
        masked=exchange.masked,
        status=flow.response.status_code if flow.response else 0,
        http_version="2" if flow.request.is_http2 else "1.1",
        server=target.host if target else "",
        port=target.port if target else 0,
        parent=_text(asked.trace[0] or str(flow.request.headers.get("traceparent", ""))) if asked else "",
        trace_state=_text(asked.trace[1] or str(flow.request.headers.get("tracestate", ""))) if asked else "",
    )


def _named(asked: Decoded | None) -> tuple[str, str, str]:
    match asked.access.resource if asked else None:
        case McpTool(name=name):
            return name, "", ""
        case McpPrompt(name):
            return "", name, ""
        case McpResource(uri):
            return "", "", uri
        case _:
            return "", "", ""


def _text(text: str) -> str:
    """Return text as an exporter takes it: what UTF-8 cannot hold would lose the whole batch."""
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()


def open_meters(settings: Settings, services: Services, exchanges: Exchanges) -> None:
    """Start whatever the settings ask for. Raises ConfigError."""
    every: list[Meter] = services.meters.every
    if settings.metrics is not None:
        gauges = Gauges(
            healthy=lambda: services.healthy,
            pending=lambda: services.broker.held,
            exchanges=lambda: len(exchanges),
            bundle=lambda: services.policies.bundle.hash,
            notices=lambda: services.notices.outbox.waiting,
        )
        prometheus = Prometheus(gauges, _METHODS)
        prometheus.listen(settings.metrics)
        every.append(prometheus)
    if settings.otlp is not None:
        every.append(_open_otlp(settings.otlp))


def _open_otlp(otlp: Otlp) -> Meter:
    try:
        from holdpoint.telemetry.otel import exporting  # noqa: PLC0415  # an optional extra
    except ImportError as error:
        raise ConfigError(
            f"`otlp` needs the extra `otel`: install `holdpoint[otel]` ({error.name} is missing)"
        ) from error
    return exporting(otlp, _METHODS)
