"""What a reviewer reads of a held request: all that decides what it does, masked."""

import hashlib
import hmac

from holdpoint.domain.access import describe_resource
from holdpoint.domain.canonical import canonical
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.masking.masker import Masker
from holdpoint.recording import secrets_in_text
from holdpoint.settings import Target


def sealed_intent(intent: JsonValue, masker: Masker, key: bytes) -> JsonValue:
    """Return an intent with everything that is masked, and every credential in a header, as keyed hashes."""
    sealed = masker.sealed(intent)
    named = sealed.get("headers") if isinstance(sealed, dict) else None
    if not isinstance(sealed, dict) or not isinstance(named, dict):
        return sealed
    headers: JsonObject = {
        name: _sealed_header(value, key) if secrets_in_text.is_secret_name(name) else value
        for name, value in named.items()
    }
    return {**sealed, "headers": headers}


def _sealed_header(value: JsonValue, key: bytes) -> str:
    return f"[sealed:{hmac.new(key, canonical(value), hashlib.sha256).hexdigest()}]"


def preview(asked: Decoded, target: Target, masker: Masker, intent: JsonValue) -> JsonObject:
    """Return what a reviewer reads: what would be done, masked, with nothing of it left out. `intent` is sealed."""
    return {
        "protocol": target.protocol.value,
        "target": target.name,
        "upstream": f"{target.scheme}://{target.host}:{target.port}",
        "verb": asked.access.action.verb,
        "resource": describe_resource(asked.access.resource),
        "arguments": masker.sealed(dict(asked.access.arguments)),
        "request": intent,
        "unverified": dict(asked.access.unverified),
    }
