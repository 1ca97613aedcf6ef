"""What the gateway corrects in an answer of a Kubernetes API server, before anything of it is masked."""

from mitmproxy import http

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.values import JsonValue
from holdpoint.stages.gateway import Gateway


def needs_whole(access: AccessRequest) -> bool:
    """Tell whether `correct` may change the answer to a request: it must be read whole then."""
    del access
    return False


def correct(gateway: Gateway, flow: http.HTTPFlow, document: JsonValue) -> JsonValue:
    """Return an answer's document with what policy says of it. Most come back as they are."""
    del gateway, flow
    return document
