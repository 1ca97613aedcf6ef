"""Whose an MCP session is: of the principal to whom the upstream gave its id."""

import hashlib
from collections import OrderedDict
from typing import Final

MOST: Final = 50_000
"""Sessions at a time; beyond, the one begun longest ago is forgotten, and its upstream alone judges who may use it."""


class SessionOwners:
    """To an upstream every caller is the gateway: it cannot see that somebody uses another's session."""

    def __init__(self) -> None:
        self._owners: OrderedDict[bytes, str] = OrderedDict()

    def began(self, target: str, session: str, principal_id: str) -> None:
        """Note to whom an upstream gave a session."""
        key = _key(target, session)
        self._owners[key] = principal_id
        self._owners.move_to_end(key)
        while len(self._owners) > MOST:
            self._owners.popitem(last=False)

    def is_of_another(self, target: str, session: str, principal_id: str) -> bool:
        """Tell whether a session is known to be somebody else's. One from before a restart is nobody's."""
        return self._owners.get(_key(target, session), principal_id) != principal_id


def _key(target: str, session: str) -> bytes:
    # Never the id itself: it opens the session.
    return hashlib.sha256(f"{target}\n{session}".encode()).digest()
