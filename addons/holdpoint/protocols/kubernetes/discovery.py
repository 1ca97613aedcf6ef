"""What every client asks before it asks for anything: what there is, and whether the server is well."""

from holdpoint.domain.access import AccessRequest, KubePath

_READS = frozenset({"get", "head"})
_EXACT = frozenset({"/api", "/apis", "/version", "/openapi/v2", "/openapi/v3", "/healthz", "/livez", "/readyz"})
_BELOW = ("/api/", "/apis/", "/openapi/v3/", "/healthz/", "/livez/", "/readyz/")


def is_discovery(request: AccessRequest) -> bool:
    """Tell whether a request is of this kind: clients make up to a hundred of them at each start, and wait for none."""
    resource = request.resource
    if not isinstance(resource, KubePath) or request.action.verb not in _READS:
        return False
    path = resource.path.rstrip("/")
    return path in _EXACT or resource.path.startswith(_BELOW)
