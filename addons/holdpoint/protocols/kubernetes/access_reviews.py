"""Answers to "may I?" (`kubectl auth can-i`), corrected by what the gateway's own policy could permit.

The API server answers for itself: what it forbids stays forbidden. What it allows is allowed only where policy could
permit it. Shapes are those of `authorization.k8s.io/v1`.
"""

from collections.abc import Callable

from holdpoint.domain.access import AccessRequest, KubeObject, KubePath, Principal, Resource
from holdpoint.domain.prospect import Outlook, Prospect
from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object, as_text
from holdpoint.protocols.kubernetes.request_info import STREAMS
from holdpoint.protocols.kubernetes.rules_reviews import corrected_rules

type Decide = Callable[[str, Resource], Prospect]
"""What policy could say to a verb on a resource, whatever else such a request says."""

GROUP = "authorization.k8s.io"
_ACCESS = frozenset({"selfsubjectaccessreviews", "localsubjectaccessreviews", "subjectaccessreviews"})
_RULES = "selfsubjectrulesreviews"


def is_review(access: AccessRequest) -> bool:
    """Tell whether a request asks what its caller may do: its answer is read whole, and corrected."""
    resource = access.resource
    return (
        isinstance(resource, KubeObject)
        and resource.group == GROUP
        and not resource.subresource
        and access.action.verb == "create"
        and (resource.resource in _ACCESS or resource.resource == _RULES)
    )


def asks_for_one(access: AccessRequest) -> bool:
    """Tell whether a review is about one thing, and its answer a yes or a no."""
    return isinstance(access.resource, KubeObject) and access.resource.resource in _ACCESS


def corrected(access: AccessRequest, answer: JsonValue, decide: Decide) -> JsonValue:
    """Return the answer to a review, with what policy says of it. Anything else comes back as it is.

    Reviews of somebody else's rights are left to the API server: who that is to the gateway, nobody knows.
    """
    resource = access.resource
    if not is_review(access) or not isinstance(resource, KubeObject) or not isinstance(answer, dict):
        return answer
    if answer.get("kind") == "Table":
        return _table(access, answer, decide)
    status = answer.get("status")
    if not isinstance(status, dict):
        return answer
    if resource.resource == _RULES:
        spec = _spec(access, answer)
        return answer | {"status": corrected_rules(status, as_text(spec.get("namespace")), decide)}
    if resource.resource != "selfsubjectaccessreviews" and not _is_own(access, answer):
        return answer
    return answer | {"status": _access(status, _spec(access, answer), resource.namespace, decide)}


def prospect_of(spec: JsonMapping, decide: Decide, *, namespace: str = "") -> Prospect | None:
    """Return what policy could say to what the `spec` of a review asks about. None: it asks about nothing."""
    attributes, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if isinstance(path, dict):
        return decide(as_text(path.get("verb")), KubePath(as_text(path.get("path"))))
    if not isinstance(attributes, dict):
        return None

    def text(key: str) -> str:
        return as_text(attributes.get(key))

    kind, _, below = text("resource").partition("/")
    resource = KubeObject(
        text("group"),
        text("version"),
        kind,
        text("subresource") or below,
        text("namespace") or namespace,
        text("name"),
    )
    if resource.subresource in STREAMS:
        # The API server knows them as `get` or `create` of the subresource; here they are verbs of their own.
        found = decide(resource.subresource, resource)
        return decide("cp", resource) if resource.subresource == "exec" and not found.possible else found
    return decide(text("verb"), resource)


def said(prospect: Prospect) -> str:
    """Return why, in a line."""
    rules = ", ".join(map(str, prospect.rules))
    why = f": {prospect.message}" if prospect.message else ""
    match prospect.outlook:
        case Outlook.NO_RULE:
            return "denied by holdpoint: no rule allows this"
        case Outlook.DENIED:
            return f"denied by holdpoint: {rules}{why}"
        case Outlook.HELD:
            return f"allowed after approval ({rules}){why}"
        case Outlook.ALLOWED:
            doubt = ", ".join(map(str, prospect.doubt))
            return f"holdpoint: depends on the request ({doubt})" if doubt else ""


def _access(status: JsonObject, spec: JsonMapping, namespace: str, decide: Decide) -> JsonValue:
    if status.get("allowed") is not True:
        return status
    prospect = prospect_of(spec, decide, namespace=namespace) or Prospect()
    reason = "; ".join(filter(None, (said(prospect), as_text(status.get("reason")))))
    if prospect.possible:
        return {**status, "reason": reason} if reason else status
    # What the API server had to say for it is no reason any more.
    made: JsonObject = {**status, "allowed": False, "reason": said(prospect)}
    if prospect.outlook is Outlook.DENIED:
        made["denied"] = True
    return made


def _spec(access: AccessRequest, answer: JsonObject) -> JsonMapping:
    resource = access.resource
    known = not isinstance(resource, KubeObject) or resource.options.known
    asked = access.arguments.get("spec") if known else None
    return asked if isinstance(asked, dict) else as_object(answer.get("spec"))


def _is_own(access: AccessRequest, answer: JsonObject) -> bool:
    user = as_text(_spec(access, answer).get("user"))
    return bool(user) and user in _names(access.principal)


def _names(principal: Principal) -> frozenset[str]:
    return frozenset(filter(None, (principal.subject, principal.person, principal.name)))


def _table(access: AccessRequest, answer: JsonObject, decide: Decide) -> JsonValue:
    rows = answer.get("rows")
    if not isinstance(rows, list):
        return answer
    made: list[JsonValue] = []
    for row in rows:
        found = row.get("object") if isinstance(row, dict) else None
        shown = isinstance(row, dict) and isinstance(found, dict) and found.get("kind") != "Table"
        made.append({**as_object(row), "object": corrected(access, found, decide)} if shown else row)
    return {**answer, "rows": made}
