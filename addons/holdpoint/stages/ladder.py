"""The hold ladder: how a held caller waits, by the best means that its request says it has.

Chosen by protocol version and declared capabilities, never by the name of a client. docs/reference/hold-ladder.md.
"""

from dataclasses import dataclass

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import Decoded
from holdpoint.protocols import mcp_holds, mcp_version
from holdpoint.protocols.mcp_holds import Round
from holdpoint.settings import Hold, Rung

_URL_ELICITATION = "2025-11-25"
"""The one version with `URLElicitationRequiredError`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one caller waits. Times in seconds."""

    rung: Rung
    wait: float
    """How long it is kept on the line before it gets the rung's own answer."""
    grace: float = 0.0
    """How much of that passes before the rung shows."""
    keepalive: float = 0.0
    """Between two signs of life after that."""
    shows_link: bool = False
    """Whether the rung's answer has the caller's user look at the console."""


def choose(asked: Decoded, hold: Hold, *, link: str, round_: Round | None = None, fits: bool = True) -> Plan:
    """Choose a rung. `link` is where the request is reviewed, empty without a console.

    `fits` tells whether what the call carries of an upstream's rounds is small enough to be handed back and forth.
    """
    ladder = hold.ladder
    version, verb = asked.protocol_version, asked.access.action.verb
    is_owed = asked.request_id is not None or bool(asked.batch_ids)
    if asked.access.action.protocol is not Protocol.MCP or not is_owed:
        return Plan(Rung.TICKET, hold.wait)
    takes_url = Rung.ELICITATION in ladder and bool(link) and mcp_holds.takes_url(asked.capabilities)
    if version in mcp_version.MODERN:
        if Rung.MULTI_ROUND_TRIP not in ladder or verb not in mcp_holds.TAKE_ROUNDS or not fits:
            return Plan(Rung.TICKET, hold.wait)
        if round_ is not None and round_.number >= hold.rounds:
            return Plan(Rung.TICKET, hold.leg)
        unseen = round_ is None or (round_.asked and round_.choice is None)
        if takes_url and unseen:
            return Plan(Rung.MULTI_ROUND_TRIP, min(hold.grace, hold.leg), shows_link=True)
        return Plan(Rung.MULTI_ROUND_TRIP, hold.leg)
    if takes_url and version == _URL_ELICITATION and verb != "initialize" and not asked.batch_ids:
        return Plan(Rung.ELICITATION, min(hold.grace, hold.wait), shows_link=True)
    # A wait that is over with the grace needs no stream.
    if Rung.EVENTS in ladder and mcp_version.is_legacy(version) and asked.accepts_sse and hold.wait > hold.grace:
        return Plan(Rung.EVENTS, hold.wait, grace=hold.grace, keepalive=hold.keepalive)
    return Plan(Rung.TICKET, hold.wait)
