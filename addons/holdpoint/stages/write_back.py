"""Masked values that come back: written, they would take the place of what they stand for."""

from collections.abc import Iterator
from typing import Final

from holdpoint.domain.values import JsonMapping, JsonValue
from holdpoint.masking.marks import MARK
from holdpoint.protocols.call import Undecodable

_CODED: Final = "W21hc2tlZ"
"""How every mark of a masked value begins in base64, as the data of a Secret is written."""
_SIGNS: Final = (b"masked", b"sealed:", _CODED.encode(), b"\\")
"""A body without any of them holds no mark, however it is encoded."""


def refuse_marks(body: bytes, written: JsonMapping) -> None:
    """Refuse to write an object that holds marks of the gateway: `kubectl get -o yaml | kubectl apply -f -`.

    `written` is what was decoded of `body`. Raises Undecodable, with the place of the first mark.
    """
    if not any(sign in body for sign in _SIGNS):
        return
    place = next(_marks(dict(written), ""), None)
    if place is not None:
        why = f"`{place}` holds a masked value, which would overwrite what it stands for"
        # Not 422, of which kubectl shows causes alone; nor 409, after which clients try the same again.
        raise Undecodable(why)


def _marks(value: JsonValue, place: str) -> Iterator[str]:
    match value:
        case str():
            if _CODED in value or ("[" in value and MARK.search(value.encode("utf-8", "replace"))):
                yield place[:200]
        case dict():
            for name, inner in value.items():
                yield from _marks(inner, f"{place}.{name}".lstrip("."))
        case list():
            for index, inner in enumerate(value):
                yield from _marks(inner, f"{place}[{index}]")
        case _:
            return
