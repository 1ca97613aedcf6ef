"""Objects without what changes by itself: what is compared, shown, and bound to an approval."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.previews.diff import Change, is_same

_NOISE: Final = frozenset({"managedFields", "resourceVersion", "generation", "selfLink"})
"""Members of the metadata that every write changes, or that only say who wrote."""
_ANEW: Final = frozenset(
    {
        *("uid", "creationTimestamp", "deletionTimestamp", "clusterIP", "clusterIPs"),
        *("nodePort", "healthCheckNodePort"),
    }
)
"""Members that the API server makes up at each try, where the request does not say them."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")
_TOKEN_VOLUME: Final = re.compile(r"kube-api-access-[a-z0-9]{5}")
_STATUS: Final = frozenset({"status", "approval"})
"""Subresources that write the status."""
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def metadata(found: JsonObject) -> JsonObject:
    """Return an object's metadata."""
    return as_object(found.get("metadata"))


def text_of(found: JsonObject, name: str) -> str:
    """Return a text of an object's metadata."""
    return as_text(metadata(found).get(name))


def live_facts(found: JsonObject | None) -> JsonObject:
    """Return uid, generation and resource version of an object, empty where there is none."""
    if found is None:
        return {}
    generation = metadata(found).get("generation")
    return {
        "uid": text_of(found, "uid"),
        "generation": generation if isinstance(generation, int) else 0,
        "resource_version": text_of(found, "resourceVersion"),
    }


def clean(found: JsonObject, *, subresource: str = "") -> JsonObject:
    """Return an object without what every write changes, and without its status unless that is what is written."""
    kept: JsonObject = {name: value for name, value in found.items() if name != "status" or subresource in _STATUS}
    if "metadata" in found:
        kept["metadata"] = {name: value for name, value in metadata(found).items() if name not in _NOISE}
    return kept


def steady(made: JsonObject, own: JsonValue) -> JsonObject:
    """Return an object without what the API server makes up anew at each try: names, uids, times, addresses.

    `own` is what the request itself says, which stays.
    """
    said = set(_texts(own))
    new = {text: mark for text, mark in _marks(made) if text and text not in said}
    return as_object(_steady(made, own, said, new))


def _marks(made: JsonObject) -> Iterator[tuple[str, str]]:
    yield text_of(made, "uid"), "(new uid)"
    if text_of(made, "generateName"):
        yield text_of(made, "name"), "(new name)"


def _steady(value: JsonValue, own: JsonValue, said: set[str], new: dict[str, str]) -> JsonValue:
    match value:
        case dict():
            mine = as_object(own)
            return {
                name: _steady(inner, mine.get(name), said, new)
                for name, inner in value.items()
                if name in mine or name not in _ANEW
            }
        case list():
            theirs = own if isinstance(own, list) else []
            same = len(theirs) == len(value)
            return [_steady(v, theirs[n] if same else None, said, new) for n, v in enumerate(value)]
        case str() if value not in said:
            if _TIME.fullmatch(value):
                return "(a time)"
            for text, mark in new.items():
                value = value.replace(text, mark)
            return _TOKEN_VOLUME.sub("kube-api-access-(new)", value)
        case _:
            return value


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)
        case _:
            return


def steady_change(change: Change, own: JsonValue) -> Change:
    """Return one line of a difference without what the API server makes up anew at each try."""
    named = next((step for step in reversed(change.path) if isinstance(step, str)), "")
    if named in _ANEW and change.op != "remove" and not _has(own, change.after):
        return replace(change, after="(made anew)")
    return replace(change, after=_steady(change.after, own, set(_texts(own)), {}))


def _has(own: JsonValue, value: JsonValue) -> bool:
    match own:
        case dict():
            return any(_has(inner, value) for inner in own.values())
        case list():
            return is_same(own, value) or any(_has(inner, value) for inner in own)
        case _:
            return is_same(own, value)
