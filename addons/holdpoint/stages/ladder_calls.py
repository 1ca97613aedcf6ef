"""Held requests by what their callers name them by, so that their callers can take them back."""

from dataclasses import dataclass, field

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.exchange import Decoded
from holdpoint.stages.exchanges import Exchange

type _Name = tuple[str, str, str, str, str | int]
"""Principal, agent, target, session, and the id that the caller gave its request."""


@dataclass(slots=True)
class HeldCalls:
    """Held requests by what their callers name them by, so that they can be taken back."""

    _held: dict[_Name, list[Exchange]] = field(default_factory=dict[_Name, list[Exchange]])

    def add(self, asked: Decoded, exchange: Exchange) -> None:
        """Note a request that is held. In a batch every id names the whole."""
        for name in _names(asked):
            self._held.setdefault(name, []).append(exchange)

    def remove(self, asked: Decoded, exchange: Exchange) -> None:
        """Forget one that is held no more."""
        for name in _names(asked):
            left = [e for e in self._held.get(name, ()) if e is not exchange]
            if left:
                self._held[name] = left
            else:
                self._held.pop(name, None)

    def cancel(self, asked: Decoded, request_id: str | int) -> list[Exchange]:
        """Mark what the caller of `asked` held under that id as taken back, and return it."""
        found = self._held.get(_name(asked.access, asked.session, request_id), [])
        for exchange in found:
            exchange.cancelled = True
        return list(found)


def _names(asked: Decoded) -> list[_Name]:
    ids = asked.batch_ids or (() if asked.request_id is None else (asked.request_id,))
    return [_name(asked.access, asked.session, i) for i in ids]


def _name(access: AccessRequest, session: str, request_id: str | int) -> _Name:
    actor = access.principal.actor.id if access.principal.actor else ""
    return access.principal.id, actor, access.target, session, request_id
