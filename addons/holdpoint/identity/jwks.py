"""The keys of one issuer, kept fresh in the background so that no request waits while they are good."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from holdpoint.clock import Clock
from holdpoint.identity.cluster_keys import read_file
from holdpoint.identity.discovery import discover
from holdpoint.identity.documents import BadDocument
from holdpoint.identity.fetch import Fetch, FetchError
from holdpoint.identity.keys import KeySet, VerificationKey, parse_key_set, printable
from holdpoint.settings import Issuer
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

LIFESPAN = 300.0
"""Seconds for which fetched keys are fresh: a key that leaves the key set stops working within this time."""
REFRESH_AT = 0.8
"""Share of the lifespan after which fresh keys are fetched in the background."""
COOLDOWN = 30.0
"""Seconds between two fetches that unknown key ids cause."""
UNKNOWN_FOR = 300.0
"""Seconds for which a key id that the issuer did not know causes no fetch."""
MAX_UNKNOWN = 256
MAX_BACKOFF = 30.0


class KeysUnavailable(Exception):  # noqa: N818  # named after what it is
    """There are no keys to verify with: never fetched, or stale for too long."""


class UnknownKey(Exception):  # noqa: N818  # named after what it is
    """The issuer is known and has no such key."""


class KeySource:
    """Fetches, keeps and renews the keys of one issuer.

    Fresh for `LIFESPAN`, renewed at `REFRESH_AT` of it. When the issuer cannot be reached the keys stay good for
    `Issuer.stale_for` more seconds; after that there are none. At most one fetch runs at a time.
    """

    def __init__(
        self,
        issuer: Issuer,
        clock: Clock,
        *,
        fetch: Fetch,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.issuer = issuer
        self.current: KeySet | None = None
        """The same object until the keys change. Consult `is_usable` first."""
        self.usable_until = float("-inf")
        """Monotonic seconds."""
        self.last_error = "its keys were not fetched yet"
        self._clock = clock
        self._fetch = fetch
        self._sleep = sleep
        self._failures = 0
        self._retry_at = float("-inf")
        self._unknown_fetch_at = float("-inf")
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._flight: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether there are keys that are fresh, or stale for no longer than the issuer's settings allow."""
        return self.current is not None and self._clock.monotonic() < self.usable_until

    def start(self) -> None:
        """Begin to keep the keys fresh. Returns at once; an issuer that is down is tried again and again."""
        if self._keeper is None:
            self._keeper = spawn(self._keep_fresh(), name=f"keys of issuer {self.issuer.name}")

    async def close(self) -> None:
        """Stop every background task and wait for its end."""
        running = [t for t in (self._keeper, self._flight) if t is not None]
        self._keeper = self._flight = None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def find(self, kid: str) -> VerificationKey:
        """Return the key. Raises KeysUnavailable, UnknownKey.

        Waits for the issuer only where nothing usable is known, or to ask once for a key id that was never heard of.
        """
        if not self.is_usable and (self._flight is not None or self._clock.monotonic() >= self._retry_at):
            await self.refresh()
        key = self._lookup(kid)
        if key is None and self._may_ask_for(kid):
            self._unknown_fetch_at = self._clock.monotonic()
            if await self.refresh() and (key := self._lookup(kid)) is None:
                self._remember_unknown(kid)
        if key is None:
            raise UnknownKey(f"issuer `{self.issuer.name}` has no key `{printable(kid)}`")
        return key

    async def refresh(self) -> bool:
        """Fetch the keys, or join the fetch that runs, and tell whether it succeeded. Never raises for the issuer."""
        if self._flight is None:
            self._flight = spawn(self._fetch_once(), name=f"fetch of keys of issuer {self.issuer.name}")
            self._flight.add_done_callback(self._landed)
        # INVARIANT: a caller that leaves does not take the fetch with it (others wait for it too), and a fetch that is
        # cancelled by `close` does not look like a caller that left. `wait` does both, unlike `await`.
        await asyncio.wait({self._flight})
        return self._failures == 0

    def _landed(self, flight: asyncio.Task[None]) -> None:
        if self._flight is flight:
            self._flight = None

    def _lookup(self, kid: str) -> VerificationKey | None:
        if self.current is None or not self.is_usable:
            raise KeysUnavailable(f"issuer `{self.issuer.name}`: {self.last_error}")
        return self.current.keys.get(kid)

    def _may_ask_for(self, kid: str) -> bool:
        now = self._clock.monotonic()
        known_unknown = self._unknown.get(kid)
        if known_unknown is not None and now < known_unknown:
            self._unknown.move_to_end(kid)
            return False
        return now >= self._unknown_fetch_at + COOLDOWN

    def _remember_unknown(self, kid: str) -> None:
        self._unknown[kid] = self._clock.monotonic() + UNKNOWN_FOR
        self._unknown.move_to_end(kid)
        while len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    async def _keep_fresh(self) -> None:
        while True:
            fresh = await self.refresh()
            await self._sleep(LIFESPAN * REFRESH_AT if fresh else self._backoff())

    def _backoff(self) -> float:
        return min(2.0 ** min(self._failures - 1, 10), MAX_BACKOFF)

    async def _fetch_once(self) -> None:
        began = self._clock.monotonic()
        try:
            keys = parse_key_set(await self._document())
        except (FetchError, BadDocument) as error:
            self._failed(str(error))
        except Exception as error:  # the keeper must outlive whatever a library raises
            logger.exception("keys of issuer `%s` cannot be fetched", self.issuer.name)
            self._failed(type(error).__name__)
        else:
            self._accept(keys, began)

    async def _document(self) -> bytes:
        if self.issuer.jwks_file is not None:
            return await asyncio.to_thread(read_file, self.issuer.jwks_file)
        url = self.issuer.jwks_url or (await discover(self.issuer, self._fetch)).jwks_uri
        return await self._fetch(url, ca_file=self.issuer.ca_file)

    def _accept(self, keys: KeySet, began: float) -> None:
        if self.current is None or keys.digest != self.current.digest:
            logger.info("issuer `%s` has %d usable keys", self.issuer.name, len(keys.keys))
            self.current = keys
            self._unknown.clear()
        # Counted from before the question was sent, so that a slow answer does not prolong anything.
        self.usable_until = began + LIFESPAN + self.issuer.stale_for
        self._failures = 0
        self._retry_at = float("-inf")
        self.last_error = "its keys are stale"

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self._retry_at = self._clock.monotonic() + self._backoff()
        self.last_error = reason
        logger.warning("keys of issuer `%s` cannot be fetched: %s", self.issuer.name, reason)
