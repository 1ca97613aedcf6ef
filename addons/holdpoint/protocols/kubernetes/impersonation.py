"""`--as`: whom a request asks to be taken for, as the API server reads and authorises it.

After `WithImpersonation` of the API server (apiserver, pkg/endpoints/filters/impersonation): each user, group, UID and
value of an extra is authorised by itself, with the verb `impersonate`. The headers are never passed on. What goes
upstream is written anew from the members that were decided, by `asked_identity`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from holdpoint.domain.access import AccessRequest, Action, KubeObject, Protocol
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.headers import Headers

VERB = "impersonate"
AUTHENTICATION = "authentication.k8s.io"
"""API group of `uids` and `userextras` where they are authorised."""
SERVICE_ACCOUNT = "system:serviceaccount:"
MOST = 64
"""Identities that one request may ask for, together."""
LONGEST = 1024
"""Characters of one of them."""

_PREFIX = b"impersonate-"
_EXTRA = b"impersonate-extra-"
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Impersonated:
    """An identity that was asked for, or that is sent. Every text is not empty and has no control character."""

    user: str
    groups: tuple[str, ...] = ()
    """In the caller's order. Empty: the API server gives a service account its own, and everybody `authenticated`."""
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = field(default=())
    """Values by key, the keys lower case as the API server has them."""

    def shown(self) -> JsonObject:
        """Return what a reviewer reads: whom the request asks to be taken for."""
        shown: JsonObject = {"user": self.user}
        if self.groups:
            shown["groups"] = [*self.groups]
        if self.uid:
            shown["uid"] = self.uid
        if self.extra:
            shown["extra"] = {key: [*values] for key, values in self.extra}
        return shown


def impersonated(headers: Headers) -> Impersonated | None:
    """Return whom the headers ask to be taken for, None where they do not.

    Raises Undecodable (400) on whatever two readers could take for different identities: a header that is almost one
    of these, a user who is empty or stands twice, anything without a user, a service account that is none.
    """
    users: list[str] = []
    groups: list[str] = []
    uids: list[str] = []
    extra: dict[str, list[str]] = {}
    for raw, value in headers:
        # A dot and an underscore are a dash to some servers on the way.
        if not re.sub(rb"[_.]", b"-", raw.lower()).startswith(_PREFIX):
            continue
        name = raw.lower()
        if name == b"impersonate-user":
            users.append(_text(value))
        elif name == b"impersonate-group":
            groups.append(_text(value))
        elif name == b"impersonate-uid":
            uids.append(_text(value))
        elif name.startswith(_EXTRA) and len(name) > len(_EXTRA):
            extra.setdefault(_key(name), []).append(_text(value))
        else:
            raise Undecodable("a header of impersonation that the API server does not know")
    if not (users or groups or uids or extra):
        return None
    _check(users, groups, uids, extra)
    return Impersonated(users[0], tuple(groups), "".join(uids), tuple((k, tuple(v)) for k, v in sorted(extra.items())))


def members(headers: Headers) -> tuple[Call, ...]:
    """Return one call for each identity that the headers ask for, none where they ask for nobody.

    Raises Undecodable as `impersonated` does.
    """
    asked = impersonated(headers)
    if asked is None:
        return ()
    return tuple(
        Call(Action(Protocol.KUBERNETES, VERB), what, arguments={}, intent=_intent(what)) for what in resources(asked)
    )


def intent_as(intent: JsonValue, headers: Headers) -> JsonValue:
    """Return an intent with whom the request asks to be taken for, unchanged where it asks for nobody.

    INVARIANT: what was approved for the caller himself is not approved for him as somebody else.
    """
    asked = impersonated(headers)
    return {**intent, "as": asked.shown()} if asked is not None and isinstance(intent, dict) else intent


def resources(asked: Impersonated) -> Iterator[KubeObject]:
    """Yield what has to be allowed, each for the verb `impersonate`."""
    if asked.user.startswith(SERVICE_ACCOUNT):
        namespace, _, name = asked.user.removeprefix(SERVICE_ACCOUNT).partition(":")
        yield KubeObject("", "v1", "serviceaccounts", namespace=namespace, name=name)
    else:
        yield KubeObject("", "v1", "users", name=asked.user)
    for group in asked.groups:
        yield KubeObject("", "v1", "groups", name=group)
    if asked.uid:
        yield KubeObject(AUTHENTICATION, "v1", "uids", name=asked.uid)
    for key, values in asked.extra:
        for value in values:
            yield KubeObject(AUTHENTICATION, "v1", "userextras", subresource=key, name=value)


def asked_identity(decided: Sequence[AccessRequest]) -> Impersonated | None:
    """Return the identity that the members of a request ask for together, None where there is no such member.

    The inverse of `members`: what is sent upstream is what was decided, and nothing else.
    Raises ValueError where the members name no user or more than one: then nobody decided on an identity.
    """
    users: list[str] = []
    groups: list[str] = []
    uids: list[str] = []
    extra: dict[str, list[str]] = {}
    for member in decided:
        what = member.resource
        if member.action.verb != VERB or not isinstance(what, KubeObject):
            continue
        match what.resource:
            case "serviceaccounts":
                users.append(f"{SERVICE_ACCOUNT}{what.namespace}:{what.name}")
            case "users":
                users.append(what.name)
            case "groups":
                groups.append(what.name)
            case "uids":
                uids.append(what.name)
            case "userextras":
                extra.setdefault(what.subresource, []).append(what.name)
            case other:
                raise ValueError(f"nobody is impersonated by a member about `{other}`")
    if not (users or groups or uids or extra):
        return None
    if len(users) != 1 or not users[0] or len(uids) > 1:
        raise ValueError("the members name no user, or more than one")
    return Impersonated(users[0], tuple(groups), "".join(uids), tuple((k, tuple(v)) for k, v in sorted(extra.items())))


def _check(users: list[str], groups: list[str], uids: list[str], extra: dict[str, list[str]]) -> None:
    if not users:
        raise Undecodable("groups, a uid or an extra are asked for without a user to impersonate")
    if len(users) > 1 or len(uids) > 1:
        raise Undecodable("more than one user or uid to impersonate")
    if len(groups) != len(set(groups)):
        raise Undecodable("a group to impersonate is there twice")
    if 1 + len(groups) + sum(len(values) for values in extra.values()) > MOST:
        raise Undecodable(f"more than {MOST} identities to impersonate")
    if users[0].startswith(SERVICE_ACCOUNT):
        namespace, colon, name = users[0].removeprefix(SERVICE_ACCOUNT).partition(":")
        if not (colon and _NAMESPACE.fullmatch(namespace) and _NAME.fullmatch(name)):
            # The API server would take it for a user of that name, whom a rule about users could let through.
            raise Undecodable("the service account to impersonate is not `system:serviceaccount:NAMESPACE:NAME`")


def _text(value: bytes) -> str:
    try:
        text = value.strip(b" \t").decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Undecodable("a header of impersonation is not UTF-8") from None
    if not text:
        raise Undecodable("a header of impersonation is empty")
    if len(text) > LONGEST or not text.isprintable():
        raise Undecodable("a header of impersonation is too long or holds characters that do not show")
    return text


def _key(name: bytes) -> str:
    """Return the key of an extra: lower case first and then without its escapes, as the API server does."""
    encoded = name.removeprefix(_EXTRA).decode("latin-1")
    if not encoded.isascii() or _BROKEN_ESCAPE.search(encoded):
        raise Undecodable("the key of an extra to impersonate is not percent-encoded")
    try:
        key = unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        raise Undecodable("the key of an extra to impersonate is not UTF-8") from None
    if not key or len(key) > LONGEST or not key.isprintable():
        raise Undecodable("the key of an extra to impersonate is too long or holds characters that do not show")
    return key


def _intent(what: KubeObject) -> JsonObject:
    resource = f"{what.resource}/{what.subresource}" if what.subresource else what.resource
    return {"verb": VERB, "resource": resource, "namespace": what.namespace, "name": what.name}
