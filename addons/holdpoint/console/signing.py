"""What the console says of a decision in the words that are signed, and its signature under them.

The signature says that this console showed what was decided to somebody who was logged in. It opens nothing: the
gateway wants the login, too, and where two must approve, each reviewer's own issuer.
"""

from base64 import urlsafe_b64decode
from dataclasses import dataclass

from holdpoint.approvals.evidence import Signer, sign
from holdpoint.clock import Clock
from holdpoint.console.sessions import Session
from holdpoint.domain.statement import Statement, moment
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.protocols.strict_json import loads


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided on the page, and what was read there."""

    approval_id: str
    verdict: str
    comment: str
    expect: str
    """Digest of the request that was read."""
    preview: str
    """Digest of all that stood on the page."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How this console makes evidence of decisions."""

    signer: Signer | None = None
    required: bool = False
    """Whether the gateway wants every approval signed or confirmed."""
    again: bool = False
    """Whether who confirms has to log in at the issuer again."""

    def confirms_all(self) -> bool:
        """Tell whether every approval has to be confirmed: signatures are wanted, and there is no key to sign with."""
        return self.required and self.signer is None

    def evidence(self, statement: Statement) -> JsonObject:
        """Return a statement as the gateway takes it, signed where there is a key."""
        told: JsonObject = {"statement": statement.as_json()}
        if self.signer is not None:
            told |= {"key": self.signer.key_id, "signature": sign(statement, self.signer)}
        return told


def statement_of(decision: Decision, session: Session, *, issuer: str, clock: Clock) -> Statement:
    """Return what the person of this session says. `issuer` is the URL of the one that they logged in at."""
    return Statement(
        request=decision.approval_id,
        intent=decision.expect,
        preview=decision.preview,
        verdict=decision.verdict,
        comment=decision.comment,
        issuer=issuer,
        subject=subject_of(session.id_token),
        at=moment(clock.now()),
    )


def subject_of(id_token: str) -> str:
    """Return `sub` of an ID token that was verified at its login. Empty where it cannot be read."""
    try:
        payload = id_token.split(".")[1].encode("ascii")
        claims = as_object(loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))))
    except (ValueError, IndexError):
        return ""
    return as_text(claims.get("sub"))
