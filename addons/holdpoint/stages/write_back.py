"""Masked values that come back: written, they would take the place of what they stand for."""

from collections.abc import Iterator
from typing import Final

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue
from holdpoint.masking.marks import MARK

_CODED: Final = "W21hc2tlZ"
"""How every mark begins in base64, as the data of a Secret is written."""


def refuse_marks(access: AccessRequest) -> None:
    """Refuse to write an object that holds marks of the gateway: `kubectl get -o yaml | kubectl apply -f -`.

    Raises Refusal, with the place of the first.
    """
    place = next(_marks(dict(access.arguments), ""), None)
    if place is not None:
        why = f"the object holds masked values, which would overwrite what they stand for: `{place}`"
        raise Refusal(RefusalKind.CONFLICT, why, detail="write-back of a mark")


def _marks(value: JsonValue, place: str) -> Iterator[str]:
    match value:
        case str():
            if value.startswith(_CODED) or ("[" in value and MARK.search(value.encode("utf-8", "replace")) is not None):
                yield place[:200]
        case dict():
            for name, inner in value.items():
                yield from _marks(inner, f"{place}.{name}".lstrip("."))
        case list():
            for index, inner in enumerate(value):
                yield from _marks(inner, f"{place}[{index}]")
        case _:
            return
