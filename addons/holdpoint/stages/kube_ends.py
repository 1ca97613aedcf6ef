"""What the caller of a Kubernetes stream reads last where the gateway ends it."""

from typing import Final

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.masking.lines import last_line
from holdpoint.masking.strict import dumps
from holdpoint.protocols.kubernetes import watch
from holdpoint.stages.exchanges import Exchange

_GONE: Final = 410
_AT_FAULT: Final = 500


def is_log(access: AccessRequest) -> bool:
    """Tell whether the log of a container was asked for."""
    what = access.resource
    return isinstance(what, KubeObject) and (what.group, what.resource, what.subresource) == ("", "pods", "log")


def last_words(exchange: Exchange, access: AccessRequest, refusal: Refusal) -> bytes | None:
    """Return what the caller of a stream reads last, which then ends whole. None: it ends torn.

    A list that ends early must not look complete.
    """
    if exchange.in_events:
        # `expired` is the caller's to begin again, as 410 tells every client of a watch.
        code = _GONE if refusal.kind is RefusalKind.EXPIRED else min(refusal.status, _AT_FAULT)
        return dumps(watch.error_event(code, refusal.public, refusal_id=exchange.id)) + b"\n"
    if is_log(access):
        return last_line(refusal.public, exchange.id, bytes(exchange.tape[-1:]))
    return None
