"""What the settings say of sinks, made to what sends."""

from collections.abc import Mapping, Sequence

from holdpoint.approvals.notify_apprise import Apprise
from holdpoint.approvals.notify_http import Line, is_trustworthy
from holdpoint.approvals.notify_outbox import Sender
from holdpoint.approvals.notify_slack import Slack
from holdpoint.approvals.notify_webhook import Webhook, signers
from holdpoint.domain.refusal import ConfigError, GatewayFault
from holdpoint.secrets import Secret, read_secret
from holdpoint.settings import SecretSource, Sink


def open_senders(sinks: Sequence[Sink], environ: Mapping[str, str], *, source: str) -> dict[str, Sender]:
    """Make a sender for each sink; nothing is sent yet. `source` is the gateway's URL. Raises ConfigError."""
    return {sink.name: _sender(sink, environ, source) for sink in sinks}


def _sender(sink: Sink, environ: Mapping[str, str], source: str) -> Sender:
    where = f"sink `{sink.name}`"
    match sink.kind:
        case "webhook":
            secrets = [read_secret(each, environ) for each in sink.secrets]
            return Webhook(Line(sink.url, sink.ca_file), signers(secrets, where=where), source)
        case "slack" if sink.token is not None:
            line = Line(f"{sink.url}/chat.postMessage", sink.ca_file)
            return Slack(line, read_secret(sink.token, environ), sink.channel, can_deny=bool(sink.people))
        case "slack":
            url = _address(sink.address, environ).reveal()
            if not is_trustworthy(url):
                raise ConfigError("the URL of its incoming webhook is not https", where=where)
            return Slack(Line(url, sink.ca_file), can_deny=bool(sink.people))
        case _:
            return Apprise(_address(sink.address, environ), where=where)


def _address(source: SecretSource | None, environ: Mapping[str, str]) -> Secret:
    if source is None:
        raise GatewayFault("a sink was read without its address")
    return read_secret(source, environ)
