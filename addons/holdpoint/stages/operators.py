"""Who asks for what no reviewer does: somebody at the gateway's own machine, or somebody who logged in."""

import pwd
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import PEER
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.values import JsonObject, as_text

MAX_REASON = 200


class Asked(Protocol):
    """What verifies a login."""

    async def reviewer(self, params: JsonObject) -> Reviewer:
        """Return who the ID token in `params` belongs to. Raises AdminError."""
        ...


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody, by login or by the system's user alone."""

    by: JsonObject
    """For the audit."""
    name: str
    """In one word."""
    reviewer: Reviewer | None = None
    """None: a user of the gateway's own machine, who could do as much with its files."""

    def require(self, *roles: str) -> None:
        """Refuse a login that has none of these roles. Raises AdminError."""
        if self.reviewer is not None and not self.reviewer.roles & set(roles):
            raise AdminError("not_allowed", f"this needs the role {' or '.join(f'`{role}`' for role in roles)}")


async def operator(asked: Asked, params: JsonObject) -> Operator:
    """Return who makes a call. Raises AdminError.

    INVARIANT: a call that brings `id_token`, even an empty one, is made for that login and never for the machine's
    user: the console, which runs as that user, speaks for people.
    """
    uid = PEER.get(-1)
    user = str(uid)
    with suppress(KeyError):
        user = pwd.getpwuid(uid).pw_name if uid >= 0 else "unknown"
    by: JsonObject = {"user": user, "uid": uid}
    if "id_token" not in params:
        return Operator(by, user)
    reviewer = await asked.reviewer(params)
    by |= {"person": reviewer.person, "issuer": reviewer.issuer, "subject": reviewer.subject}
    return Operator(by, reviewer.person or reviewer.subject, reviewer)


def reason_in(params: JsonObject) -> str:
    """Return the reason that a call gives: one line. Raises AdminError."""
    reason = as_text(params.get("reason")).strip()
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise AdminError("bad_request", f"a reason is one line of at most {MAX_REASON} characters")
    return reason
