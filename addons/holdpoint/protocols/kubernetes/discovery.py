"""What every client asks before it asks for anything: what there is, and whether the server is well."""

from holdpoint.domain.access import AccessRequest, KubePath

_READS = frozenset({"get", "head"})
_EXACT = frozenset({"/api", "/apis", "/version", "/openapi/v2", "/openapi/v3", "/healthz", "/livez", "/readyz"})
_BELOW = ("/api/", "/apis/", "/openapi/v3/", "/healthz/", "/livez/", "/readyz/")


def is_discovery(request: AccessRequest) -> bool:
    """Tell whether a request is of this kind: clients make up to a hundred of them at each start, and wait for none."""
    resource = request.resource
    return isinstance(resource, KubePath) and request.action.verb in _READS and is_discovery_path(resource.path)


def is_discovery_path(path: str) -> bool:
    """Tell whether what is read at a path is discovery."""
    return path.rstrip("/") in _EXACT or path.startswith(_BELOW)
