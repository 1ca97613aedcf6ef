"""`Warning: 299` headers (RFC 9111 section 5.5, as Kubernetes uses them): what kubectl prints beside an answer.

The one place that builds them. Only answers of Kubernetes targets get any.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator

from mitmproxy import http

from holdpoint.domain.access import KubeObject, Protocol
from holdpoint.domain.exchange import Forwarded, State, decoded
from holdpoint.settings import Target, Warn
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import raw

MAX_TEXT = 200
_OURS = b"holdpoint"


def warning(text: str) -> str:
    """Return the value of one header: printable ASCII, quoted, at most `MAX_TEXT` characters of text."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in " ".join(text.split()))
    if len(plain) > MAX_TEXT:
        plain = plain[: MAX_TEXT - 3] + "..."
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'


def add_head_warnings(response: http.Response, target: Target, exchange: Exchange) -> None:
    """Add what is known when the head of an answer has come. Once for each answer."""
    if target.protocol is Protocol.KUBERNETES:
        # What an upstream says in the gateway's name is not passed on.
        kept = [(n, v) for n, v in raw(response.headers) if n.lower() != b"warning" or _OURS not in v.lower()]
        response.headers = http.Headers([*kept, *map(_field, _of_head(target, exchange))])


def add_count_warning(response: http.Response, target: Target, exchange: Exchange) -> None:
    """Add how much was masked, where the answer was read whole and has not gone out."""
    if target.protocol is Protocol.KUBERNETES and Warn.MASKED in target.warnings and exchange.masked:
        add_note(response, "1 field was masked" if exchange.masked == 1 else f"{exchange.masked} fields were masked")


def add_note(response: http.Response, text: str) -> None:
    """Add one text of the gateway's own."""
    response.headers = http.Headers([*raw(response.headers), _field(text)])


def _field(text: str) -> tuple[bytes, bytes]:
    return b"Warning", warning(f"holdpoint: {text}").encode("ascii")


def _of_head(target: Target, exchange: Exchange) -> Iterator[str]:
    state = exchange.state
    if isinstance(state, Forwarded) and state.cleared.permitted.observed:
        yield f"observed only, {state.cleared.permitted.observed}"
    if Warn.APPROVED in target.warnings and exchange.approved_by:
        yield f"approved by {', '.join(exchange.approved_by)}"
        yield from (f"{person} wrote: {words}" for person, words in exchange.comments)
    if exchange.broken_by:
        # Whatever warnings are wanted: nobody may take this for an approval.
        yield f"approved by nobody: {exchange.broken_by} broke the glass, and it will be reviewed"
    if Warn.MASKED in target.warnings and exchange.streamed and exchange.masks and _is_of_secrets(state):
        yield f"may be masked by {', '.join(exchange.masks)}"
    if Warn.RECORDED in target.warnings and exchange.session is not None:
        yield f"recorded as {exchange.session.id}"


def _is_of_secrets(state: State | None) -> bool:
    """Tell whether an answer surely is one that masks are made for. A warning beside every list is read by nobody."""
    asked = decoded(state)
    resource = asked.access.resource if asked is not None else None
    return isinstance(resource, KubeObject) and resource.resource == "secrets"
