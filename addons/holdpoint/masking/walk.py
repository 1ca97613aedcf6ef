"""One walk over a document: paths, keys, shapes, and every string that is left, scanned together.

Nothing is changed while walking. What is to be replaced is noted by container and key, so that a caller's value stays
as it was, and a document in which nothing is found costs no copy.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from holdpoint.domain.mask import MaskAction
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.masking.marks import stricter
from holdpoint.masking.render import Render
from holdpoint.masking.rules import Rules, State
from holdpoint.masking.strings import Strings, Unmaskable

MAX_DEPTH = 128
"""Levels of nesting. Deeper documents are refused, not skipped."""
_MANY = 100_000_000
"""Whole numbers with nine digits or more are looked at by detectors: card numbers come as numbers too."""
_SECRET_KINDS = frozenset({"secret", "secretlist"})
_SECRET_TYPES = ("Opaque", "kubernetes.io/", "bootstrap.kubernetes.io/token", "helm.sh/release")
_SECRET_DATA = ("data", "stringData")

type Container = dict[str, JsonValue] | list[JsonValue]
type Key = str | int


class Walk:
    """One walk. Make it, `scan` one or several parts, then `finish`, then `apply` or `copy`."""

    def __init__(self, rules: Rules, strings: Strings, render: Render, *, embedded: int = 0) -> None:
        self._rules = rules
        self._strings = strings
        self._render = render
        self._embedded = embedded
        self._secrets = rules.secrets
        self._texts: list[str] = []
        self._changes: dict[tuple[int, Key], tuple[Container, JsonValue]] = {}
        self._renames: dict[int, tuple[JsonObject, dict[str, str]]] = {}
        self.unkeyed: set[int] = set()
        """Ids of objects whose member names are no keys."""
        self.keep: set[tuple[int, Key]] = set()
        """Leaves that stay as they are, by id of the container and key."""
        self.count = 0

    def change(self, holder: Container, key: Key, new: JsonValue, count: int = 1) -> None:
        """Note that a value is to be replaced. The first note on a value stands."""
        place = (id(holder), key)
        if place not in self._changes and place not in self.keep:
            self._changes[place] = (holder, new)
            self.count += count

    @property
    def secrets(self) -> MaskAction | None:
        """What happens to the data of Kubernetes Secrets."""
        return self._secrets

    def mark(self, value: JsonValue, action: MaskAction) -> JsonValue:
        """Return what takes the place of a leaf."""
        return self._render.leaf(value, action)

    def action(self, name: str) -> MaskAction | None:
        """Return what key masks say of a name."""
        return self._rules.key_action(name)

    def text(self, text: str) -> tuple[str, int]:
        """Mask a text at once. Returns it, and how many values were masked."""
        return self._strings.mask(text, self._embedded)

    def hide_all(self, holder: Container, key: Key, value: JsonValue, action: MaskAction) -> None:
        """Note that every leaf of a value is to be replaced, wherever in the document it stands."""
        self.hide(holder, key, value, action, self._rules.start)

    def scan(self, node: Container, state: State, level: int = 0) -> None:  # noqa: C901, PLR0912  # the hot loop, in one piece
        """Scan a container. Raises Unmaskable if it is nested too deep."""
        plain, is_plain_list = state.plain, state.is_plain_list
        append = self._texts.append
        wave: list[Container] = [node]
        # Level by level, `type() is`, and no call per value: this loop is most of the work on a clean document.
        while wave:
            if level > MAX_DEPTH:
                raise Unmaskable("nested too deep")
            deeper: list[Container] = []
            for container in wave:
                values: Iterable[JsonValue]
                if isinstance(container, dict):
                    if not plain.issuperset(container):
                        self._members(container, state, level)
                        continue
                    values = container.values()
                elif is_plain_list:
                    values = container
                else:
                    self._elements(container, state, level)
                    continue
                for value in values:
                    if type(value) is str:
                        append(value)
                    elif type(value) is dict or type(value) is list:
                        deeper.append(value)
                    elif type(value) is int and not -_MANY < value < _MANY:
                        append(str(value))
                    elif isinstance(value, dict | list):  # of a class of its own: not from a decoder, but from a caller
                        deeper.append(value)
                    elif isinstance(value, str):
                        append(str(value))
            wave = deeper
            level += 1

    def visit(  # noqa: PLR0917  # called for every value that is not plain
        self, holder: Container, key: Key, value: JsonValue, state: State, action: MaskAction | None, level: int
    ) -> None:
        """Scan one value of a container, or note that it is to be hidden."""
        if action is not None:
            self.hide(holder, key, value, action, state, level)
        elif isinstance(value, dict | list):
            self.scan(value, state, level)
        elif isinstance(value, str) or (isinstance(value, int) and not -_MANY < value < _MANY):
            self._texts.append(str(value))

    def _members(self, node: JsonObject, state: State, level: int) -> None:
        self._shapes(node, state, level)
        if self.unkeyed and id(node) in self.unkeyed:
            state = state.without_keys()
        for name, value in node.items():
            child, action, shown = state.next(name)
            self.visit(node, name, value, child, action, level + 1)
            if shown != name:
                self._renames.setdefault(id(node), (node, {}))[1][name] = shown

    def _elements(self, node: list[JsonValue], state: State, level: int) -> None:
        for index, value in enumerate(node):
            child, action = state.element(index)
            self.visit(node, index, value, child, action, level + 1)

    def hide(  # noqa: PLR0917  # as `visit`
        self, holder: Container, key: Key, value: JsonValue, action: MaskAction, state: State, level: int = 0
    ) -> None:
        """Note that every leaf of a value is to be replaced; names stay."""
        if level > MAX_DEPTH:
            raise Unmaskable("nested too deep")
        if isinstance(value, dict):
            for name, inner in value.items():
                child, more, shown = state.next(name)
                self.hide(value, name, inner, stricter(action, more) or action, child, level + 1)
                if shown != name:
                    self._renames.setdefault(id(value), (value, {}))[1][name] = shown
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                child, more = state.element(index)
                self.hide(value, index, inner, stricter(action, more) or action, child, level + 1)
        else:
            new = self._render.leaf(value, action)
            if new is not value:
                self.change(holder, key, new)

    def _shapes(self, node: JsonObject, state: State, level: int) -> None:
        """Hide by shape: the value of a name-and-value pair with a masked name, and the data of a Secret."""
        name = node.get("name") or node.get("key")
        if isinstance(name, str) and "value" in node and (action := self._rules.key_action(name)) is not None:
            child, more, _ = state.next("value")
            self.hide(node, "value", node["value"], stricter(action, more) or action, child, level + 1)
        if self._secrets is None:
            return
        if is_secret(node):
            for holder, part in _secret_data(node):
                self.hide(holder, part, holder[part], self._secrets, state.next(part)[0], level + 1)

    def finish(self, root: Container) -> int:
        """Look at the strings that were met below `root`. Returns how many values are to be replaced."""
        # What becomes of a string depends on the string alone, so equal ones are masked once, and where they stand is
        # looked up only if there is any to replace.
        found: dict[str, tuple[str, int]] = {}
        texts = self._texts
        for index in self._strings.suspects(texts) if texts else ():
            text = texts[index]
            if text not in found:
                found[text] = self._strings.mask(text, self._embedded)
        made = {text: new for text, new in found.items() if self._render.text(text, *new) != text}
        if made:
            self._replace(root, made)
        self.count += sum(len(names) for _, names in self._renames.values())
        return self.count

    def _replace(self, node: Container, made: dict[str, tuple[str, int]]) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(value, dict | list):
                self._replace(value, made)
            elif isinstance(value, str | int) and (found := made.get(str(value))):
                text, count = found
                if isinstance(value, str) or not -_MANY < value < _MANY:
                    self.change(node, key, self._render.text(value, text, count), max(count, 1))

    def apply(self, translate: Callable[[Container], Container] = lambda holder: holder) -> None:
        """Make the replacements, in the containers themselves or in the copies that `translate` leads to."""
        for (_, key), (holder, new) in self._changes.items():
            cast("dict[Key, JsonValue]", translate(holder))[key] = new
        for node, names in self._renames.values():
            target = translate(node)
            if isinstance(target, dict):
                _rename(target, {old: self._render.name(old, new) for old, new in names.items()})

    def copy(self, value: JsonValue) -> JsonValue:
        """Return a copy in which the replacements are made; what is not on the way to one is shared."""
        copies: dict[int, Container] = {}
        made = _copy(value, copies)
        self.apply(lambda holder: copies[id(holder)])
        return made


def _copy(value: JsonValue, copies: dict[int, Container]) -> JsonValue:
    if id(value) in copies:
        return copies[id(value)]
    if isinstance(value, dict):
        made: JsonObject = {}
        copies[id(value)] = made
        made.update((name, _copy(v, copies) if isinstance(v, dict | list) else v) for name, v in value.items())
        return made
    if isinstance(value, list):
        elements: list[JsonValue] = []
        copies[id(value)] = elements
        elements.extend(_copy(v, copies) if isinstance(v, dict | list) else v for v in value)
        return elements
    return value


def _rename(node: JsonObject, names: dict[str, str]) -> None:
    """Rename members in place and in order; equal new names are told apart by a number."""
    members = list(node.items())
    taken = {name for name in node if name not in names}
    node.clear()
    for name, value in members:
        new = names.get(name, name)
        if name in names:
            number = 2
            while new in taken:
                new = f"{names[name]}-{number}"
                number += 1
            taken.add(new)
        node[new] = value


def is_secret(node: JsonObject) -> bool:
    """Tell whether an object says that it is a Secret, or a list of them, by its kind or its type."""
    kind = node.get("kind")
    if isinstance(kind, str) and kind.casefold() in _SECRET_KINDS:
        return True
    # Items of a SecretList, and what tools print of a Secret, may lack the kind.
    secret_type = node.get("type")
    return isinstance(secret_type, str) and secret_type.startswith(_SECRET_TYPES)


def _secret_data(node: JsonObject) -> Iterator[tuple[JsonObject, str]]:
    """Yield the holder and name of each part of a Secret, or of a list of them, that holds its data."""
    items = node.get("items")
    for secret in (node, *(items if isinstance(items, list) else ())):
        if isinstance(secret, dict):
            yield from ((secret, name) for name in _SECRET_DATA if name in secret)
