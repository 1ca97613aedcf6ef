"""What reviewers read of a preview: masked, bounded, and with a word wherever something was left out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.previews.diff import added, diff, is_same
from holdpoint.previews.kubernetes import Found, containers
from holdpoint.previews.objects import LAST_APPLIED, clean, metadata, text_of
from holdpoint.previews.subject import Lines, line, listed

MOST_LINES: Final = 200
LONGEST_VALUE: Final = 2_000
"""Bytes of JSON of one side of a line."""
LONGEST_OBJECT: Final = 24_000
LARGEST: Final = 64_000
"""Bytes of JSON of all lines together."""
MOST_NAMES: Final = 50
MOST_HANGING: Final = 60
_MADE_UP: Final = (("uid",), ("creationTimestamp",), ("namespace",))
"""Members of the metadata of every new object, which tell a reviewer nothing."""
_LONGEST_TEXT: Final = 1_000
_SHORTEST: Final = 3
"""Characters. A shorter secret would be found in every second word; where a value is so short the text is left out."""


@dataclass(frozen=True, slots=True)
class Masks:
    """How what was found is masked."""

    seal: Callable[[JsonValue], JsonValue]
    """Every masked leaf of an object of the request's kind becomes a keyed hash: a change of one shows."""
    text: Callable[[str], str]
    error: Callable[[JsonObject], JsonObject]
    """A `Status` of the API server, without what it quotes."""


def show(found: Found, hanging: Lines, masks: Masks) -> JsonObject:
    """Return what reviewers read."""
    shown: JsonObject = {"verb": found.sort}
    lines: Lines = []
    before, after = (as_object(masks.seal(one)) for one in found.lines())
    match found.sort:
        case "change":
            cut, left = bounded(change.shown() for change in diff(before, after))
            shown["diff"] = cut
            lines += _left_out(left)
            if not cut:
                lines.append(line("note", "as the object is now, this changes nothing"))
        case "create":
            own = as_object(masks.seal(clean(found.own, subresource=found.subresource)))
            cut, left = bounded(_made(own, after))
            shown["diff"] = cut
            lines += _left_out(left)
        case "delete":
            shown["object"], notes = bounded_object(before)
            lines += notes
        case "delete many":
            lines += _many(shown, found, masks)
        case "reach into":
            lines += _reached(before)
    lines += hanging
    if len(lines) > MOST_HANGING:
        rest = len(lines) - MOST_HANGING
        lines = [*lines[:MOST_HANGING], line("note", f"{rest} further lines are not shown")]
    shown["hangs_on_it"] = [{**one, "text": masks.text(as_text(one.get("text")))[:_LONGEST_TEXT]} for one in lines]
    if found.warnings:
        hidden = Hidden(masks.seal, found.own, found.before)
        shown["warnings"] = [hidden.out_of(masks.text(text)) for text in found.warnings]
    return shown


def refusal(said: JsonObject, masks: Masks, *quoted: JsonObject | None) -> str:
    """Return the API server's own words for an error, without any value of `quoted` that is masked. Empty: none."""
    if as_text(said.get("kind")) != "Status":
        return ""
    message = as_text(masks.error(said).get("message"))
    return Hidden(masks.seal, *quoted).out_of(masks.text(message))[:_LONGEST_TEXT]


class Hidden:
    """What is masked in some objects, to be found in a text that quotes them."""

    def __init__(self, seal: Callable[[JsonValue], JsonValue], *objects: JsonObject | None) -> None:
        self._texts: set[str] = set()
        for one in objects:
            if one is not None:
                self._gather(one, seal(one))

    def out_of(self, text: str) -> str:
        """Return the text without it."""
        for secret in sorted(self._texts, key=len, reverse=True):
            for form in {secret, canonical(secret).decode()[1:-1]}:
                if form not in text:
                    continue
                if len(secret) < _SHORTEST:
                    return "[masked: it may quote a value that is masked]"
                text = text.replace(form, "[masked]")
        return text

    def _gather(self, raw: JsonValue, sealed: JsonValue) -> None:
        if isinstance(raw, dict) and isinstance(sealed, dict):
            if raw.keys() != sealed.keys():
                self._texts.update(_leaves(raw))
                return
            for key, value in raw.items():
                self._gather(value, sealed[key])
        elif isinstance(raw, list) and isinstance(sealed, list) and len(raw) == len(sealed):
            for one, other in zip(raw, sealed, strict=True):
                self._gather(one, other)
        elif not is_same(raw, sealed):
            self._texts.update(_leaves(raw))


def _leaves(value: JsonValue) -> Iterable[str]:
    match value:
        case dict():
            for key, inner in value.items():
                yield key
                yield from _leaves(inner)
        case list():
            for inner in value:
                yield from _leaves(inner)
        case None | bool() | "":
            return
        case _:
            yield str(value)
            # A long text is quoted in parts.
            yield from (part for part in str(value).split() if len(part) > _SHORTEST)


def bounded(lines: Iterable[JsonObject]) -> tuple[list[JsonValue], int]:
    """Return as many lines as there is room for, long values cut, and how many were left out."""
    kept: list[JsonValue] = []
    left = size = 0
    for one in lines:
        short = _shortened(one)
        size += len(canonical(short))
        if len(kept) >= MOST_LINES or size > LARGEST:
            left += 1
        else:
            kept.append(short)
    return kept, left


def bounded_object(value: JsonObject) -> tuple[JsonObject, Lines]:
    """Return an object with long values cut, and what was done to it."""
    if len(canonical(value)) <= LONGEST_OBJECT:
        return value, []
    cut: JsonObject = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and name in ("metadata", "spec", "data"):
            members: JsonObject = {key: _cut(member) for key, member in list(inner.items())[:MOST_NAMES]}
            cut[name] = members
        else:
            cut[name] = _cut(inner)
    return cut, [line("note", f"the object has {len(canonical(value))} bytes: long values of it are cut")]


def _shortened(one: JsonObject) -> JsonObject:
    path = as_text(one.get("path"))
    if LAST_APPLIED in path and path.endswith(f'"{LAST_APPLIED}"]'):
        # kubectl's own copy of what was applied: its lines stand beside it.
        return {name: "(kubectl's copy of the object)" if name in ("before", "after") else v for name, v in one.items()}
    return {name: _cut(value) if name in ("before", "after") else value for name, value in one.items()}


def _cut(value: JsonValue) -> JsonValue:
    size = len(canonical(value))
    if size <= LONGEST_VALUE:
        return value
    text = value if isinstance(value, str) else canonical(value).decode()
    return f"{text[: LONGEST_VALUE // 2]} ... (cut: {size} bytes)"


def _left_out(left: int) -> Lines:
    return [line("note", f"{left} further changes are not shown: read what is asked in full")] if left else []


def _made(own: JsonObject, made: JsonObject) -> Iterable[JsonObject]:
    """Return the lines of a new object: what was asked for, and what the API server adds to it."""
    yield from (change.shown() for change in added(_as_made(own), depth=2))
    for change in diff(own, made):
        if change.path[:1] != ("metadata",) or change.path[1:] not in _MADE_UP:
            yield {**change.shown(), "by": "server"}


def _as_made(own: JsonObject) -> JsonObject:
    return {name: value for name, value in own.items() if name not in ("kind", "apiVersion")}


def _many(shown: JsonObject, found: Found, masks: Masks) -> Lines:
    many = found.many
    if many is None:
        return []
    names = [_name(one) for one in many.items]
    counts: JsonObject = {
        "matched": len(names) + many.remaining,
        "more": many.more and not many.remaining,
        "names": [masks.text(name) for name in names[:MOST_NAMES]],
    }
    shown["counts"] = counts
    return [line("note", "each of them is deleted; the API server was not asked whether it would refuse")]


def _name(one: JsonObject) -> str:
    namespace = text_of(one, "namespace")
    return f"{namespace}/{text_of(one, 'name')}" if namespace else text_of(one, "name")


def _reached(pod: JsonObject) -> Lines:
    labels = as_object(metadata(pod).get("labels"))
    said = [f"container {one.get('name')}: image {one.get('image')}" for one in containers(pod)]
    lines = [line("pods", text) for text in said[:MOST_NAMES]]
    if labels:
        lines.append(line("pods", f"labels: {listed([f'{key}={value}' for key, value in labels.items()])}"))
    account = as_text(as_object(pod.get("spec")).get("serviceAccountName"))
    if account:
        lines.append(line("pods", f"it runs as service account {account}"))
    return [*lines, line("note", "what is done inside cannot be tried beforehand")]
