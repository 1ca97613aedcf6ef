"""What is known of the objects of a request to the Kubernetes API, and of its answer, from what was asked."""

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.masking.kubernetes import NOTHING, Shape


def of(access: AccessRequest) -> Shape:
    """Return the shape of what a request writes and is answered with."""
    what = access.resource
    if not isinstance(what, KubeObject):
        return NOTHING
    return Shape(
        is_secret=not what.group and what.resource == "secrets",
        is_token=(what.group, what.resource, what.subresource) == ("", "serviceaccounts", "token"),
    )
