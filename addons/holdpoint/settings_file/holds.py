"""Reads `targets[].hold`: how held callers wait."""

from holdpoint.domain.access import Protocol
from holdpoint.located_yaml import Located
from holdpoint.settings import Hold, Rung
from holdpoint.settings_file import schema
from holdpoint.settings_file.places import read_set, seconds

_DEFAULT = Hold()
_MINUTES = 600.0
_OF_MCP = ("leg", "grace", "keepalive", "rounds", "ladder")


def read_hold(value: Located | None, protocol: Protocol) -> Hold:
    """Read it, or return the default. Raises ConfigError."""
    if value is None:
        return _DEFAULT
    fields = schema.HOLD.read(value)
    if protocol is not Protocol.MCP and (other := next((f for k in _OF_MCP if (f := fields.get(k))), None)):
        raise other.error("only MCP clients can wait in another way than on the line: leave `wait` alone here")
    rounds, ladder = fields.get("rounds"), fields.get("ladder")
    return Hold(
        wait=seconds(fields.get("wait"), _DEFAULT.wait, low=0, high=_MINUTES),
        leg=seconds(fields.get("leg"), _DEFAULT.leg, low=1, high=_MINUTES),
        grace=seconds(fields.get("grace"), _DEFAULT.grace, low=0, high=60),
        keepalive=seconds(fields.get("keepalive"), _DEFAULT.keepalive, low=1, high=60),
        rounds=rounds.integer(low=1, high=100) if rounds else _DEFAULT.rounds,
        ladder=_ladder(ladder) if ladder else _DEFAULT.ladder,
    )


def _ladder(value: Located) -> frozenset[Rung]:
    named = frozenset(Rung(name) for name in read_set(value, "rungs", lambda v: v.choice(*Rung)))
    if Rung.TICKET not in named:
        raise value.error("every other rung ends with `ticket`: name it too")
    return named
