"""The masker: profiles compiled once, then applied to values, texts and whole bodies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from holdpoint.domain.mask import MaskProfile
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonValue
from holdpoint.masking import kubernetes, mcp
from holdpoint.masking.clean import Clean
from holdpoint.masking.documents import mask_document
from holdpoint.masking.kubernetes import Shape
from holdpoint.masking.marks import Marker
from holdpoint.masking.render import Render, Seal, Show
from holdpoint.masking.rules import Rules, State
from holdpoint.masking.strings import Strings
from holdpoint.masking.walk import Container, Walk

_MAX_REMEMBERED = 1_024
_MAX_REMEMBERED_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Masked[T]:
    """What may be shown, and how many values were masked in it. Zero: it is what was given, unchanged."""

    value: T
    count: int


class Masker:
    """Compiled profiles. Pure and safe to share: what is given is never changed."""

    def __init__(self, profiles: Sequence[MaskProfile], marker: Marker) -> None:
        """Compile. Raises ConfigError. Use `compile_masks`."""
        self.names: tuple[str, ...] = tuple(dict.fromkeys(p.name for p in profiles))
        """Names of the profiles, each once, in order."""
        self._rules = Rules(profiles, marker)
        self.is_empty: bool = self._rules.is_empty
        """Whether nothing is ever masked."""
        self._show = Show(marker)
        self._seal = Seal(marker)
        self._strings = Strings(self._rules, self._embedded)
        self._clean = Clean(self._rules, self._strings)
        self._harmless: set[str] = set()

    def value(self, value: JsonValue) -> Masked[JsonValue]:
        """Mask a JSON value. Raises Unmaskable where it is nested too deep."""
        return self._copied(value, self._show, self._rules.start)

    def text(self, text: str) -> Masked[str]:
        """Mask a text: documents inside it, keys, detectors, base64 and escapes."""
        if self.is_empty or text in self._harmless:
            return Masked(text, 0)
        if next(self._strings.suspects([text]), None) is None:
            self._remember(text)
            return Masked(text, 0)
        return Masked(*self._strings.mask(text))

    def is_plain(self, raw: bytes) -> bool:
        """Tell that `text` surely masks nothing in this UTF-8, at the cost of one scan. False: it may or may not."""
        return self.is_empty or self._strings.is_plain(raw)

    def texts(self, texts: Sequence[str]) -> Masked[list[str]]:
        """Mask several short texts, such as the values of headers, each as `text` does.

        Short texts in which nothing was found are remembered: most paths and headers say the same in every request.
        """
        made, count = list(texts), 0
        new = [] if self.is_empty else [i for i, text in enumerate(texts) if text not in self._harmless]
        if new:
            fresh = [texts[i] for i in new]
            suspects = frozenset(self._strings.suspects(fresh))
            for at, index in enumerate(new):
                text, more = self._strings.mask(fresh[at]) if at in suspects else (fresh[at], 0)
                made[index] = text
                count += more
                if not more:
                    self._remember(text)
        return Masked(made, count)

    def _remember(self, harmless: str) -> None:
        if len(harmless) <= _MAX_REMEMBERED_LENGTH:
            if len(self._harmless) >= _MAX_REMEMBERED:
                self._harmless.clear()
            self._harmless.add(harmless)

    def mcp(self, value: JsonValue, *, in_place: bool = False) -> Masked[JsonValue]:
        """Mask a JSON-RPC message of MCP, or a batch of them. Its envelope stays: version, id, method, progress token.

        `in_place` changes the value itself: for one that nobody else holds. Raises Unmaskable where it is nested too
        deep.
        """
        return self._copied(value, self._show, self._rules.mcp_start, mcp.prepare, in_place=in_place)

    def kubernetes(self, value: JsonValue, shape: Shape, *, in_place: bool = False) -> Masked[JsonValue]:
        """Mask an object of the Kubernetes API, a list of objects, a Table, or an array of any of them.

        `in_place` as in `mcp`. Raises Unmaskable where it is nested too deep.
        """
        prepare = partial(_kubernetes, shape=shape)
        return self._copied(value, self._show, self._rules.start, prepare, in_place=in_place)

    def unclean(self, texts: Sequence[bytes], shape: Shape) -> set[int]:
        """Return the indexes of the JSON texts in which `kubernetes` may find something to mask.

        Many times as fast as to decode and mask them. Each is an object, or a row of a Table that has the columns of
        `shape`, and no Table itself; what is no JSON may be called clean.
        """
        if self.is_empty:
            return set()
        if shape.is_secret or shape.is_token or any(self._rules.key_action(c.replace(" ", "")) for c in shape.columns):
            return set(range(len(texts)))
        return self._clean.unclean(texts)

    def sealed_kubernetes(self, value: JsonValue, shape: Shape) -> JsonValue:
        """Return the same as `sealed` does. Raises Unmaskable where it is nested too deep."""
        prepare = partial(_kubernetes, shape=replace(shape, is_coded=False))
        return self._copied(value, self._seal, self._rules.start, prepare).value

    def document(self, body: bytes, content_type: str | None) -> Masked[bytes]:
        """Mask a body by its content type. Raises Unmaskable for what cannot be looked into."""
        if self.is_empty or not body:
            return Masked(body, 0)
        return Masked(*mask_document(body, content_type, tree=lambda v: self._embedded(v, 0), text=self._text))

    def sealed(self, value: JsonValue) -> JsonValue:
        """Return the value with every masked leaf replaced whole by its keyed hash, whatever its action: for digests.

        Leaves are told apart by type and value; nothing that is not masked changes, except what looks sealed already.
        Raises Unmaskable where it is nested too deep.
        """
        return self._copied(value, self._seal, self._rules.start).value

    def _copied(
        self,
        value: JsonValue,
        render: Render,
        state: State,
        prepare: Callable[[Walk, Container], None] | None = None,
        *,
        in_place: bool = False,
    ) -> Masked[JsonValue]:
        if self.is_empty:
            return Masked(value, 0)
        walk = Walk(self._rules, self._strings, render)
        root: list[JsonValue] = [value]
        if prepare is not None:
            prepare(walk, root)
        walk.visit(root, 0, value, state, None, 0)
        if not walk.finish(root):
            return Masked(value, 0)
        if in_place:
            walk.apply()
            return Masked(root[0], walk.count)
        made = walk.copy(root)
        return Masked(made[0] if isinstance(made, list) else None, walk.count)

    def _embedded(self, value: JsonValue, depth: int) -> tuple[JsonValue, int]:
        """Mask a value that is nobody else's, in place."""
        walk = Walk(self._rules, self._strings, self._show, embedded=depth)
        root: list[JsonValue] = [value]
        walk.visit(root, 0, value, self._rules.start, None, 0)
        if walk.finish(root):
            walk.apply()
        return root[0], walk.count

    def _text(self, text: str) -> tuple[str, int]:
        masked = self.text(text)
        return masked.value, masked.count


def _kubernetes(walk: Walk, root: Container, *, shape: Shape) -> None:
    value = root[0] if isinstance(root, list) else root
    kubernetes.prepare(walk, value if isinstance(value, list) else root, shape)


def compile_masks(profiles: Sequence[MaskProfile], *, key: bytes) -> Masker:
    """Compile profiles. `key` is the secret of every keyed hash, at least 16 bytes.

    Raises ConfigError that names the profile and the place.
    """
    try:
        marker = Marker(key)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return Masker(profiles, marker)
