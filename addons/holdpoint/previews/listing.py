"""Bounded reads of collections: page by page, and never without an end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.previews.client import Answer
from holdpoint.previews.requests import JSON, PARTIAL, Asking, get

PAGE = 250
"""Objects of one answer."""

type Send = Callable[[Asking], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Listing:
    """What of a collection was read."""

    items: tuple[JsonObject, ...]
    remaining: int = 0
    """How many more there are, as far as the API server says so."""
    more: bool = False
    """Whether there are more than were read."""

    @property
    def count(self) -> str:
        """How many there are, in words."""
        known = len(self.items) + self.remaining
        return f"more than {len(self.items)}" if self.more and not self.remaining else str(known)


async def read(
    send: Send, path: str, *, labels: str = "", fields: str = "", whole: bool = False, pages: int = 1, page: int = PAGE
) -> Listing:
    """Read a collection: metadata alone unless `whole`. Raises as `send` does."""
    found: list[JsonObject] = []
    mark, remaining = "", 0
    for _ in range(pages):
        query = (("labelSelector", labels), ("fieldSelector", fields), ("limit", str(page)), ("continue", mark))
        answer = await send(get(path, accept=JSON if whole else PARTIAL, query=query))
        items = answer.document.get("items")
        found += [as_object(item) for item in items] if isinstance(items, list) else []
        about = as_object(answer.document.get("metadata"))
        mark, left = as_text(about.get("continue")), about.get("remainingItemCount")
        remaining = left if isinstance(left, int) and not isinstance(left, bool) else 0
        if not mark:
            return Listing(tuple(found))
    return Listing(tuple(found), remaining, more=True)


def owned_by(items: tuple[JsonObject, ...], uids: frozenset[str]) -> tuple[JsonObject, ...]:
    """Return those of some objects that belong to one of these."""
    return tuple(item for item in items if uids & _owners(item))


def _owners(item: JsonObject) -> set[str]:
    found: JsonValue = as_object(item.get("metadata")).get("ownerReferences")
    return {as_text(as_object(one).get("uid")) for one in found} if isinstance(found, list) else set()
