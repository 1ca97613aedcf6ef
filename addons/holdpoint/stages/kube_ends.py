"""What the caller of a Kubernetes stream reads last where the gateway ends it."""

from typing import Final

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.masking.lines import last_line
from holdpoint.masking.strict import dumps
from holdpoint.protocols.kubernetes import status, watch
from holdpoint.stages.exchanges import Exchange

_CODES: Final = {RefusalKind.UNAUTHENTICATED: 401, RefusalKind.EXPIRED: 410, RefusalKind.DENIED: 403}
"""What ended is the caller's to begin again with a list (410); what went wrong here is neither his nor the list's."""
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
        said = status.document(refusal, refusal_id=exchange.id)
        return dumps(watch.error_event(said, code=_CODES.get(refusal.kind, _AT_FAULT))) + b"\n"
    if is_log(access):
        return last_line(refusal.public, exchange.id, bytes(exchange.tape[-1:]))
    return None
