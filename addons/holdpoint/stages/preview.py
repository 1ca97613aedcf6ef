"""What a reviewer reads of a held request: all that decides what it does, masked."""

import hashlib
import hmac

from holdpoint.approvals.windows import through
from holdpoint.domain.access import AccessRequest, Protocol
from holdpoint.domain.canonical import canonical, digest
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.masking.masker import Masker
from holdpoint.recording import secrets_in_text
from holdpoint.settings import Target
from holdpoint.stages import kube_words
from holdpoint.stages.sealing import masked_path, sealed_object, shown_resource


def sealed_intent(intent: JsonValue, masker: Masker, key: bytes, *, access: AccessRequest | None = None) -> JsonValue:
    """Return an intent with everything that is masked, and every credential in a header, as keyed hashes.

    `access` where it is a request to the Kubernetes API: what the object in it is, the object may not say.
    """
    if access is not None and isinstance(intent, dict) and "object" in intent:
        others = masker.sealed({name: value for name, value in intent.items() if name != "object"})
        found: JsonValue = {**as_object(others), "object": sealed_object(access, intent["object"], masker)}
    else:
        found = masker.sealed(intent)
    if not isinstance(found, dict):
        return found
    sealed: JsonObject = {**found}
    named, query = sealed.get("headers"), sealed.get("query")
    if access is not None and "unread" in sealed:
        # Without a key, whoever reads the digest could try what he guesses of the body.
        sealed["unread"] = _sealed(sealed["unread"], key)
    if isinstance(named, dict):
        headers: JsonObject = {name: _header(name, value, key) for name, value in named.items()}
        sealed["headers"] = headers
    if access is not None and isinstance(query, dict) and isinstance(argv := query.get("command"), list):
        hidden = secrets_in_text.in_command([as_text(each) for each in argv])
        command: JsonValue = [_sealed(each, key) if at in hidden else each for at, each in enumerate(argv)]
        sealed["query"] = {**query, "command": command}
    if isinstance(query, str) and masked_path(f"?{query}", masker) != f"?{query}":
        # As it was sent, percent-encoded, it may hide a name or a value from the masks.
        sealed["query"] = _sealed(query, key)
    return sealed


def intent_digest(access: AccessRequest, sealed: JsonValue, bound: JsonObject) -> str:
    """Return the digest that an approval is bound to. `sealed` is the intent, `bound` the definitions of its tools."""
    asked: JsonObject = {"principal": access.principal.id, "target": access.target, "intent": sealed}
    if access.principal.legs:
        # The agent of such a request is the MCP server: for whom that works is another requester each.
        asked["through"] = through(access.principal)
    return digest({**asked, "pinned": bound} if bound else asked)


def _header(name: str, value: JsonValue, key: bytes) -> JsonValue:
    return _sealed(value, key) if secrets_in_text.is_secret_name(name) else value


def _sealed(value: JsonValue, key: bytes) -> str:
    return f"[sealed:{hmac.new(key, canonical(value), hashlib.sha256).hexdigest()}]"


def _arguments(access: AccessRequest, target: Target, masker: Masker) -> JsonValue:
    if target.protocol is Protocol.KUBERNETES:
        return sealed_object(access, dict(access.arguments), masker)
    return masker.sealed(dict(access.arguments))


def preview(asked: Decoded, target: Target, masker: Masker, intent: JsonValue) -> JsonObject:
    """Return what a reviewer reads: what would be done, masked, with nothing of it left out. `intent` is sealed."""
    said: JsonObject = {}
    if target.protocol is Protocol.KUBERNETES:
        said = {
            "summary": kube_words.summary(asked.access, intent, masker),
            "does": kube_words.does(asked.access, intent, masker),
        }
    return {
        **said,
        "protocol": target.protocol.value,
        "target": target.name,
        "upstream": f"{target.scheme}://{target.host}:{target.port}",
        "verb": asked.access.action.verb,
        "resource": shown_resource(asked.access.resource, masker),
        "arguments": _arguments(asked.access, target, masker),
        "request": intent,
        "unverified": masker.sealed({**asked.access.unverified}),
    }
