"""Why a caller asks, in `_meta` of an MCP message: for reviewers, never for the server."""

from typing import Final

from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Call

KEY: Final = "holdpoint.dev/reason"
"""Member of `_meta`, under a prefix of ours (2025-11-25, basic protocol, `_meta`, key name format)."""


def is_given(call: Call) -> bool:
    """Tell whether a call, or a message of a batch, says why. However its key was escaped, it was read here."""
    return _meta_has(call.intent) or any(_meta_has(member.intent) for member in call.members)


def taken(body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a body without the reasons in it, and the reasons. Raises Undecodable on what is no JSON.

    What is left says the same as before; the decoder reads it anew.
    """
    message = strict_json.loads(body)
    messages = message if isinstance(message, list) else [message]
    reasons = [found for each in messages for found in _take(as_object(each))]
    return strict_json.dumps(message), tuple(reasons)


def _take(message: JsonObject) -> list[str]:
    params = as_object(message.get("params"))
    meta = as_object(params.get("_meta"))
    if KEY not in meta:
        return []
    reason = meta.pop(KEY)
    if not meta:
        # As the same call without a reason: an empty `_meta` says nothing.
        del params["_meta"]
    return [reason] if isinstance(reason, str) else []


def _meta_has(intent: JsonValue) -> bool:
    if not isinstance(intent, dict) or not isinstance(params := intent.get("params"), dict):
        return False
    meta = params.get("_meta")
    return isinstance(meta, dict) and KEY in meta
