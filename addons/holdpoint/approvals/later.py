"""What a store that was away still has to be told: tried again until it took it."""

import logging
from collections.abc import Awaitable, Callable

from holdpoint.store.protocol import StoreUnavailable

logger = logging.getLogger(__name__)

MOST = 10_000
"""What is put off on top of that is left to the next start, which counts it as unknown."""


class Later:
    """Things to do in order, each until the store took it or refused it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self.on_added: Callable[[], None] = _nothing

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do it with the next `retry`."""
        if len(self._waiting) >= MOST:
            logger.error("too much waits for the store: `%s` is given up", name)
            return
        self._waiting.append((name, work))
        self.on_added()

    async def retry(self) -> None:
        """Do what waits. Raises StoreUnavailable: the rest waits on."""
        while self._waiting:
            name, work = self._waiting[0]
            try:
                await work()
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  # it was tried in time, or somebody else was first
                logger.info("`%s` is too late: %s", name, error)
            self._waiting.pop(0)


def _nothing() -> None:
    return None
