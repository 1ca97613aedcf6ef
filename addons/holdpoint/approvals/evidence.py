"""What makes a vote evidence: the statement that was read, who signed it, and what is wrong with one that is not right.

Signatures are Ed25519 (RFC 8032) over the canonical form of the statement. Who a confirming ID token belongs to is for
the identity provider's keys, and checked by `holdpoint.identity`.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdpoint.domain.approval import ApprovalRequest, Proof, Reviewer, Vote
from holdpoint.domain.statement import BadStatement, Statement, parse
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text

FRESH = 300.0
"""Seconds between the words and their arrival, at most."""
AHEAD = 30.0
"""Seconds by which the clock of who said them may be ahead."""
_SIGNATURE_BYTES = 64

type Pinned = Mapping[str, Ed25519PublicKey]
"""Public keys whose signatures count, by id."""


class BadEvidence(Exception):  # noqa: N818  # what the reviewer is told
    """A decision that proves nothing. The message is for the reviewer: lower case, no full stop, never a token."""

    code = "not_allowed"


class Stale(BadEvidence):
    """A decision on what is not there any more: it is to be read again."""

    code = "conflict"


class Signer(Protocol):
    """Whoever holds the private key."""

    @property
    def key_id(self) -> str:
        """Id under which the signature is verified."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """Return the Ed25519 signature of `data`."""
        ...


def sign(statement: Statement, signer: Signer) -> str:
    """Return the signature, base64url without padding."""
    return urlsafe_b64encode(signer.sign(statement.signed)).rstrip(b"=").decode("ascii")


def check_signature(statement: Statement, *, key: str, signature: str, pinned: Pinned) -> None:
    """Check that one of the pinned keys signed these very words. Raises BadEvidence."""
    public = pinned.get(key)
    if public is None:
        raise BadEvidence(f"the decision is signed with key `{_shown(key)}`, which is not pinned here")
    raw = _from_base64url(signature)
    if raw is None or len(raw) != _SIGNATURE_BYTES:
        raise BadEvidence("the signature of the decision is no Ed25519 signature")
    try:
        public.verify(raw, statement.signed)
    except InvalidSignature:
        raise BadEvidence(f"the signature of the decision is not that of key `{key}`") from None


def read_statement(
    value: JsonValue,
    request: ApprovalRequest,
    reviewer: Reviewer,
    *,
    verdict: str,
    comment: str,
    preview: str,
    now: float,
) -> Statement:
    """Return the statement where it says what is decided here and now, and nothing else. Raises BadEvidence.

    `preview` is the digest of what is to be read now; `now` in Unix seconds. All is rebuilt from what is known here,
    and only the time is taken from the statement.
    """
    try:
        said = parse(value)
        age = now - said.said_at
    except BadStatement as error:
        raise BadEvidence(f"the statement of the decision cannot be read: {error}") from error
    expected = Statement(
        request=request.id,
        intent=request.ask.intent,
        preview=preview,
        verdict=verdict,
        comment=comment,
        issuer=reviewer.issuer,
        subject=reviewer.subject,
        at=said.at,
    )
    for name, words in _DIFFERS.items():
        if getattr(said, name) != getattr(expected, name):
            raise (Stale if name in ("intent", "preview") else BadEvidence)(words)
    if said != expected:  # whatever a later version adds
        raise BadEvidence("the statement of the decision is not what is decided here")
    if age > FRESH:
        raise BadEvidence(f"the decision is {age:.0f} s old, {FRESH:.0f} s is the limit: decide again")
    if age < -AHEAD:
        raise BadEvidence(f"the decision is dated {-age:.0f} s in the future: is a clock wrong?")
    if was_counted(expected.digest, request.votes):
        raise BadEvidence("this very decision was counted before")
    return expected


_DIFFERS = {
    "request": "the statement is about another request",
    "gateway": "the statement is for another gateway",
    "issuer": "the statement is that of another reviewer",
    "subject": "the statement is that of another reviewer",
    "intent": "the statement is about something else than this request asks for",
    "verdict": "the statement says the opposite of what is decided",
    "preview": "the preview changed since you opened it",
    "comment": "the comment is not the one that the statement has",
}
"""What is wrong, by the field that differs: the first one is told."""


def was_counted(digest: str, votes: Sequence[Vote]) -> bool:
    """Tell whether a vote with this very statement is among those that were counted."""
    return any(v.proof is not None and _digest_of(v.proof) == digest for v in votes)


def proof_json(proof: Proof) -> JsonObject:
    """Return a proof as the audit log keeps it. What is empty is left out."""
    kept: JsonObject = {"statement": proof.statement}
    for name, value in (("key", proof.key), ("signature", proof.signature), ("id_token", proof.id_token)):
        if value:
            kept[name] = value
    if proof.issuer_key:
        kept["issuer_key"] = proof.issuer_key
    return kept


def proof_from(value: JsonValue) -> Proof | None:
    """Return the proof that the audit log keeps, or None where there is none."""
    kept = as_object(value)
    if not kept:
        return None
    return Proof(
        statement=as_object(kept.get("statement")),
        key=as_text(kept.get("key")),
        signature=as_text(kept.get("signature")),
        id_token=as_text(kept.get("id_token")),
        issuer_key=as_object(kept.get("issuer_key")),
    )


def _digest_of(proof: Proof) -> str:
    try:
        return parse(proof.statement).digest
    except BadStatement:
        return ""


def _from_base64url(text: str) -> bytes | None:
    """Return the bytes of base64url without padding, in its one spelling; None for anything else."""
    try:
        raw = text.encode("ascii")
        data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError:
        return None
    return data if urlsafe_b64encode(data).rstrip(b"=") == raw else None


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() and c != "`" else "?" for c in text[:64])
