"""What a reviewer says, in the words that are signed: which request, what was read of it, yes or no, who, when.

Its digest is the `nonce` of the ID token by which the reviewer's issuer vouches for it (OpenID Connect Core section 2).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from holdpoint.domain.canonical import canonical, digest
from holdpoint.domain.values import JsonObject, JsonValue

VERSION = 1
NONCE_PREFIX = "sha256:"
"""How the nonce of an ID token begins that confirms one decision. As a login no such token is taken."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_FORM = "%Y-%m-%dT%H:%M:%SZ"
_KEYS = frozenset({"v", "request", "intent", "preview", "verdict", "comment", "reviewer", "at", "gateway"})
_MAX_TEXT = 8_192


class BadStatement(ValueError):  # noqa: N818  # said of the words, not of the program
    """Words that are no statement of a decision. The message says why, and quotes none of them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One decision in the words that are signed. Two with the same digest are the same decision."""

    request: str
    """Id of the approval request."""
    intent: str
    """Digest of what would be done."""
    preview: str
    """Digest of what the reviewer read."""
    verdict: str
    """`approve` or `deny`."""
    comment: str
    issuer: str
    """Issuer of the reviewer's login."""
    subject: str
    at: str
    """When it was said, RFC 3339 in UTC to the second: `2026-11-21T11:30:00Z`."""
    gateway: str = ""
    """Of which gateway; empty: whichever knows the request, whose id no other has."""

    def as_json(self) -> JsonObject:
        """Return what is signed."""
        return {
            "v": VERSION,
            "request": self.request,
            "intent": self.intent,
            "preview": self.preview,
            "verdict": self.verdict,
            "comment": self.comment,
            "reviewer": {"issuer": self.issuer, "subject": self.subject},
            "at": self.at,
            "gateway": self.gateway,
        }

    @property
    def signed(self) -> bytes:
        """The bytes that a signature covers. Raises ValueError on lone surrogates."""
        return canonical(self.as_json())

    @property
    def digest(self) -> str:
        """What the `nonce` of a confirming token is. Raises ValueError on lone surrogates."""
        return digest(self.as_json())

    @property
    def said_at(self) -> float:
        """Unix seconds. Raises BadStatement."""
        return read_moment(self.at)


def moment(seconds: float) -> str:
    """Return Unix seconds as a statement has them (RFC 3339 section 5.6), without the fraction."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_FORM)


def read_moment(text: str) -> float:
    """Return Unix seconds of what `moment` wrote, in that one spelling. Raises BadStatement."""
    if _AT.fullmatch(text) is None:
        raise BadStatement("`at` is no time in UTC, as `2026-11-21T11:30:00Z`")
    try:
        return datetime.strptime(text, _FORM).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadStatement("`at` is no time in UTC, as `2026-11-21T11:30:00Z`") from None


def parse(value: JsonValue) -> Statement:
    """Read a statement. Strict: another key, type or version is none. Raises BadStatement."""
    if not isinstance(value, dict):
        raise BadStatement("it is no object")
    if value.keys() != _KEYS:
        raise BadStatement("its keys are not those of a statement")
    version, who = value["v"], value["reviewer"]
    if type(version) is not int or version != VERSION:
        raise BadStatement("it is of a version that is not known here")
    if not isinstance(who, dict) or who.keys() != {"issuer", "subject"}:
        raise BadStatement("`reviewer` is not an issuer and a subject")
    found = Statement(
        request=_text(value["request"], "request"),
        intent=_digest(value["intent"], "intent"),
        preview=_digest(value["preview"], "preview"),
        verdict=_text(value["verdict"], "verdict"),
        comment=_text(value["comment"], "comment"),
        issuer=_text(who["issuer"], "reviewer.issuer"),
        subject=_text(who["subject"], "reviewer.subject"),
        at=_text(value["at"], "at"),
        gateway=_text(value["gateway"], "gateway"),
    )
    if found.verdict not in ("approve", "deny"):
        raise BadStatement("`verdict` is neither `approve` nor `deny`")
    read_moment(found.at)
    return found


def _text(value: JsonValue, name: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise BadStatement(f"`{name}` is no text of at most {_MAX_TEXT} characters")
    try:
        value.encode("utf-8", "strict")
    except UnicodeEncodeError:
        raise BadStatement(f"`{name}` holds what is no character") from None
    return value


def _digest(value: JsonValue, name: str) -> str:
    text = _text(value, name)
    if _DIGEST.fullmatch(text) is None:
        raise BadStatement(f"`{name}` is no digest")
    return text
