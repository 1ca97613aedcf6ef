"""Tokens of Kubernetes service accounts, as a pod finds its own: projected, bound, and of an audience of ours.

Kubernetes, "Managing Service Accounts", bound service account tokens; claims by pkg/serviceaccount/claims.go.
"""

import re
from fnmatch import fnmatchcase
from types import MappingProxyType

from holdpoint.domain.access import Principal, person_name
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.identity.claims import lookup, required_text
from holdpoint.identity.keys import printable
from holdpoint.identity.tokens import BadToken
from holdpoint.settings import Issuer

CLAIM = "kubernetes.io"
"""The private claim of the API server: namespace, service account, pod, node."""
_SUBJECT = re.compile(
    r"system:serviceaccount:([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?):([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)"
)


def principal_of_service_account(claims: JsonObject, issuer: Issuer, *, token_id: str, expires_at: float) -> Principal:
    """Make the Principal of a token whose signature, times and audience were checked. Raises BadToken.

    The subject and the private claim are the API server's own twice over, and must say the same.
    """
    subject = required_text(claims, "sub")
    found = _SUBJECT.fullmatch(subject)
    if found is None:
        raise BadToken(f"claim `sub` is no service account: `{printable(subject)}`")
    namespace, name = found[1], found[2]
    private = claims.get(CLAIM)
    if not isinstance(private, dict):
        raise BadToken(f"claim `{CLAIM}` is missing: it is no bound token of a service account")
    if _part(private, "namespace") != namespace or _part(private, "serviceaccount.name") != name:
        raise BadToken(f"claims `sub` and `{CLAIM}` name two service accounts")
    if not account_uid(claims):
        raise BadToken(f"claim `{CLAIM}.serviceaccount.uid` is missing")
    if issuer.workload_subjects and not any(fnmatchcase(subject, glob) for glob in issuer.workload_subjects):
        raise BadToken(f"service account `{printable(subject)}` is not one that issuer `{issuer.name}` is set to take")
    owners = (persons for glob, persons in issuer.owners.items() if fnmatchcase(subject, glob))
    pod = _part(private, "pod.name")
    exposed: dict[str, JsonValue] = {path: lookup(claims, path) for path in issuer.claims.expose}
    return Principal(
        issuer=issuer.url,
        subject=subject,
        kind="workload",
        name=f"{namespace}/{name}" + (f", pod {printable(pod)}" if pod else ""),
        groups=frozenset({"system:serviceaccounts", f"system:serviceaccounts:{namespace}"}),
        owners=frozenset(person_name(p) for persons in owners for p in persons),
        claims=MappingProxyType({path: value for path, value in exposed.items() if value is not None}),
        token_id=token_id,
        expires_at=expires_at,
    )


def account_uid(claims: JsonObject) -> str:
    """Return the UID of the service account that a token is of, empty where it does not say."""
    return _part(claims.get(CLAIM), "serviceaccount.uid")


def pod_uid(claims: JsonObject) -> str:
    """Return the UID of the pod that a token is bound to, empty where it is bound to none."""
    return _part(claims.get(CLAIM), "pod.uid")


def _part(value: JsonValue, path: str) -> str:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
