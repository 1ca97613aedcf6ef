"""What was typed into a tunnel, sealed in its record: for whoever has the gateway's digest key, and nobody else."""

from base64 import b64decode
from binascii import Error
from collections.abc import Iterable

from holdpoint.domain.values import as_text
from holdpoint.recording.transcript import Message
from holdpoint.seals import SealBroken, Seals


def purpose_of(exchange: str) -> str:
    """Return the purpose of the seals of one exchange: what was typed into one is never read as typed into another."""
    return f"stdin {exchange}"


def typed(messages: Iterable[Message], exchange: str, seals: Seals) -> bytes:
    """Return all that was typed. Raises SealBroken: another key, or a message that was changed, moved or left out."""
    made: list[bytes] = []
    for message in messages:
        if not message.from_client or message.content[:1] != b"\0":
            continue
        payload = seals.read(message.content[1:].decode("latin-1"), purpose_of(exchange))
        if payload.get("n") != len(made) + 1:
            raise SealBroken("a message before this one is missing")
        try:
            made.append(b64decode(as_text(payload.get("data")), validate=True))
        except Error:
            raise SealBroken("sealed by a version that this one does not know") from None
    return b"".join(made)
