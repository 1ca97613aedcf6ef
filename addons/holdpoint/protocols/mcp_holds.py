"""What a client of MCP is told while its request waits for a human's approval, and what it says to that.

2026-07-28: basic/patterns/mrtr, client/elicitation. 2025-11-25: client/elicitation. All: basic/utilities/progress.
"""

from dataclasses import dataclass
from typing import Final, Literal

from holdpoint.domain.values import JsonMapping, JsonObject, as_object
from holdpoint.protocols import sse, strict_json
from holdpoint.protocols.mcp_refusals import META_KEY

TAKE_ROUNDS: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Methods whose answer may be `input_required` (2026-07-28, mrtr, supported requests); a server MUST NOT on others."""
ASKED: Final = "approval"
"""Key of what the gateway itself asks. It never shares an answer with an upstream's questions."""
URL_ELICITATION_REQUIRED: Final = -32042
"""2025-11-25 alone: MUST NOT be used in 2026-07-28."""
KEEPALIVE: Final = b": waiting for a reviewer\n\n"
"""A comment: clients dispatch nothing (HTML standard, section 9.2.6)."""

_OF_ROUNDS = ("requestState", "inputResponses")

type Choice = Literal["accept", "decline", "cancel"]


@dataclass(frozen=True, slots=True)
class Round:
    """What the gateway's own state says, opened: this call is the next round of one that it had come back."""

    ticket: str
    number: int
    """How often the caller was asked to come back so far, from 1."""
    call: str
    """Digest of the call's intent: the state is good for this call alone."""
    unique: str
    """Good for one round."""
    until: float
    """Unix seconds."""
    asked: bool = False
    """Whether the caller was to show its user where the request is reviewed."""
    choice: Choice | None = None
    """What the user said to that."""


def takes_url(capabilities: JsonMapping) -> bool:
    """Tell whether a client declared that it shows its user a URL. `elicitation: {}` alone means forms."""
    return isinstance(as_object(capabilities.get("elicitation")).get("url"), dict)


def come_back(state: str, data: JsonObject, *, link: str = "") -> JsonObject:
    """Return the result that has a client of 2026-07-28 make its call again, with `state`.

    With `link` it shows that to its user first: only for a client that `takes_url`.
    """
    result: JsonObject = {"resultType": "input_required", "requestState": state, "_meta": {META_KEY: data}}
    if link:
        # No `elicitationId`: 2026-07-28 took it out.
        result["inputRequests"] = {ASKED: {"method": "elicitation/create", "params": _shown(link, data)}}
    return result


def held_data(refusal_id: str, ticket: str, link: str) -> JsonObject:
    """Return what a program reads of a hold: the same members as `data` of a refusal."""
    data: JsonObject = {"refusal": refusal_id, "kind": "held", "ticket": ticket}
    return {**data, "link": link} if link else data


def look_there(ticket: str, link: str, data: JsonObject) -> JsonObject:
    """Return the error that has a client of 2025-11-25 show a URL and then make its call again."""
    asked: JsonObject = {**_shown(link, data), "elicitationId": ticket}
    return {
        "code": URL_ELICITATION_REQUIRED,
        "message": "held for review: make the same call again once it is approved",
        "data": {**data, "elicitations": [asked]},
    }


def progress(token: str | int, step: int) -> bytes:
    """Return the event of one sign of progress, `step` counting from 1.

    Its number grows with every step and stays below zero: what the upstream itself reports later must be more, and
    starts at zero or above.
    """
    params: JsonObject = {"progressToken": token, "progress": -1 / step, "message": "waiting for a reviewer"}
    message: JsonObject = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
    return sse.encode(sse.Event(type="message", data=strict_json.dumps(message).decode()))


def taken_back(data: JsonObject) -> JsonObject:
    """Return the result of a tool whose user did not want to wait: for a model to read."""
    text = (
        "the user did not want this call to be reviewed. Nothing was done, and nobody will be asked to approve it. "
        f"Do not call again with the same arguments unless the user asks for it.\nTicket: {data.get('ticket', '')}"
    )
    content: JsonObject = {"type": "text", "text": text}
    return {"resultType": "complete", "content": [content], "isError": True, "_meta": {META_KEY: data}}


def choice(responses: JsonMapping) -> Choice | None:
    """Return what the user said to what the gateway asked. None: nothing, or nothing clear."""
    match as_object(responses.get(ASKED)).get("action"):
        case "accept":
            return "accept"
        case "decline":
            return "decline"
        case "cancel":
            return "cancel"
        case _:
            return None


def carried(params: JsonMapping) -> JsonObject:
    """Return what a call brings of an upstream's own rounds: it comes back inside the gateway's state."""
    return {key: params[key] for key in _OF_ROUNDS if key in params}


def restored(params: JsonMapping, upstream: JsonMapping) -> JsonObject:
    """Return parameters with what they carried at first in place of what belongs to a round of the gateway's."""
    return {key: value for key, value in params.items() if key not in _OF_ROUNDS} | dict(upstream)


def _shown(link: str, data: JsonObject) -> JsonObject:
    ticket = data.get("ticket", "")
    return {
        "mode": "url",
        "url": link,
        "message": f"This call waits for a reviewer, who finds it here. Nothing was done yet. Ticket: {ticket}",
    }
