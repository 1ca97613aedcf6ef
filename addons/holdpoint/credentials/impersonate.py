"""Kind `impersonate`: the gateway's own token, and with every request whom the API server is to take it for.

Kubernetes, "User impersonation". Without `Impersonate-User` a request would run as the gateway itself: there is always
one, it is never empty, and a header of the caller's never becomes one.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Protocol
from urllib.parse import quote

from holdpoint.credentials.provider import Errand, Headers, impersonated_by
from holdpoint.domain.access import Principal
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.protocols.kubernetes.impersonation import SERVICE_ACCOUNT, Impersonated
from holdpoint.secrets import Secret
from holdpoint.settings import Fact, ImpersonateAs

RESERVED = "holdpoint-"
"""What keys of an extra begin with that the gateway alone writes."""
SYSTEM = "system:"
_SAFE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""What a header carries the same way through every library: printable ASCII, no blanks around it."""
_KEY_SAFE = "!#$&'*+-.^_`|~"
"""Characters beside letters and digits that the name of a header may hold (RFC 9110 section 5.6.2), but `%`."""


class Bearer(Protocol):
    """Where the gateway's own token comes from."""

    async def read(self) -> Secret:
        """Return the token. Raises Refusal."""
        ...

    def known(self) -> tuple[str, ...]:
        """Return the token and those before it that answers may still show."""
        ...

    def rejected(self) -> None:
        """Look for a newer one before the token is used again."""
        ...


class Impersonate:
    """The gateway's bearer token, and the identity that was decided."""

    def __init__(self, bearer: Bearer, settings: ImpersonateAs) -> None:
        self._bearer = bearer
        self._settings = settings
        groups = settings.groups
        self._named = frozenset((*settings.users.values(), *groups.map.values(), *groups.add))
        """Identities that the settings write out: those alone may begin with `system:`."""

    async def ready(self) -> bool:
        """Tell whether the gateway's own token is there."""
        try:
            await self._bearer.read()
        except Refusal:
            return False
        return True

    async def headers(self, errand: Errand) -> Headers:
        """Return the token and one header for each part of the identity. Raises Refusal."""
        identity = self.identity(errand)
        token = (await self._bearer.read()).reveal()
        sent = [("authorization", f"Bearer {token}"), ("impersonate-user", identity.user)]
        sent += [("impersonate-group", group) for group in identity.groups]
        if identity.uid:
            sent.append(("impersonate-uid", identity.uid))
        for key, values in identity.extra:
            sent += [(f"impersonate-extra-{quote(key, safe=_KEY_SAFE)}", value) for value in values]
        return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in sent)

    def rejected(self) -> None:
        """Look for a newer token before this one is used again."""
        self._bearer.rejected()

    def secrets(self) -> tuple[str, ...]:
        """Return the gateway's own token: whom it speaks for is no secret."""
        return self._bearer.known()

    def shown(self, errand: Errand) -> JsonObject:
        """Return the identity that the upstream is told."""
        return self.identity(errand).shown()

    def identity(self, errand: Errand) -> Impersonated:
        """Return whom the request is sent as: whom policy let it ask for, else its principal by the settings.

        Raises Refusal on an empty user, one that a header cannot carry, and `system:` that the settings do not name.
        """
        asked = impersonated_by(errand)
        identity = asked if asked is not None else self._of(errand.asked.principal)
        for key, _ in identity.extra:
            if key.startswith(RESERVED):
                raise _refused(f"an extra whose key begins with `{RESERVED}` is the gateway's own to send")
        for name in (identity.user, *identity.groups):
            self._check(name)
        # One that was asked for was decided as what it is; a subject of some issuer's is no account of this cluster.
        if asked is None and identity.user.startswith(SERVICE_ACCOUNT) and identity.user not in self._named:
            raise _refused("a service account is not sent unless the settings name it")
        if identity.uid and not _SAFE.fullmatch(identity.uid):
            raise _refused("the uid holds characters that a header does not carry")
        said = tuple((key, tuple(_ascii(v) for v in values)) for key, values in identity.extra)
        return Impersonated(identity.user, identity.groups, identity.uid, (*said, *self._facts(errand)))

    def _of(self, principal: Principal) -> Impersonated:
        settings = self._settings
        name = (principal.person or "") if settings.user == "person" else principal.subject
        if not name:
            raise _refused("this target takes requests of people alone: nobody is known to stand behind this one")
        user = settings.users.get(name) or settings.prefix + name
        uid = principal.subject if settings.uid == "subject" else ""
        return Impersonated(user, tuple(self._groups(principal.groups)), uid)

    def _groups(self, named: Iterable[str]) -> list[str]:
        settings = self._settings.groups
        found = dict.fromkeys(settings.add)
        for group in sorted(named):
            if (mapped := settings.map.get(group)) is not None:
                found[mapped] = None
            elif any(fnmatchcase(group, glob) for glob in settings.allow):
                found[settings.prefix + group] = None
        return list(found)

    def _check(self, name: str) -> None:
        if not name or not _SAFE.fullmatch(name):
            raise _refused("the identity is empty, or holds characters that a header does not carry")
        if name.startswith(SYSTEM) and name not in self._named and not name.startswith(SERVICE_ACCOUNT):
            raise _refused("an identity that begins with `system:` is not sent unless the settings name it")

    def _facts(self, errand: Errand) -> Iterable[tuple[str, tuple[str, ...]]]:
        principal = errand.asked.principal
        actor = principal.actor
        said: Mapping[Fact, tuple[str, ...]] = {
            Fact.PRINCIPAL: (principal.id,),
            Fact.ACTOR: (actor.subject, *actor.chain) if actor else (),
            Fact.EXCHANGE: (errand.exchange,),
            Fact.APPROVAL: (errand.approval,),
            Fact.CALL: (principal.call,),
        }
        for fact in Fact:
            values = tuple(_ascii(value) for value in said[fact] if value)
            if fact in self._settings.extra and values:
                yield RESERVED + fact.value, values


def _ascii(value: str) -> str:
    """Return a value that decides nothing in ASCII: percent-encoded where it holds anything else."""
    return value if _SAFE.fullmatch(value) else quote(value, safe="!#$&'()*+,-./:;<=>?@[]^_`{|}~")


def _refused(why: str) -> Refusal:
    return Refusal(RefusalKind.DENIED, "the cluster cannot be told who asks", detail=why)
