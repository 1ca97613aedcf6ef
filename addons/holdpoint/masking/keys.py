"""Key masks: names with `*` as wildcard, matched without regard to case, in objects and in text."""

from collections.abc import Sequence

from holdpoint.domain.mask import MaskAction
from holdpoint.masking.marks import stricter
from holdpoint.masking.regex import Regex, any_of, literal

MAX_KEY = 128
_BLANK = r"[^\x00!-~]"
_IN_TEXT = r"[A-Za-z0-9_.\-]*"


class BadKey(ValueError):  # noqa: N818  # named after what happened
    """Not a usable key mask."""


class Keys:
    """Compiled key masks."""

    def __init__(self, masks: Sequence[tuple[str, MaskAction]]) -> None:
        for key, _ in masks:
            if not key.strip("* \t") or len(key) > MAX_KEY:
                raise BadKey(f"a key mask has 1 to {MAX_KEY} characters, and more than `*`")
        by_action: dict[MaskAction, list[str]] = {}
        for key, action in masks:
            by_action.setdefault(action, []).append(key)
        self._by_action: list[tuple[MaskAction, Regex]] = []
        for action, keys in by_action.items():
            pattern = any_of([f"(?is:{_glob(key, '.*')})" for key in keys])
            if pattern is not None:
                self._by_action.append((action, pattern))
        self._globs: tuple[str, ...] = tuple(dict.fromkeys(k for k, _ in masks))
        self.text = "|".join(dict.fromkeys(_glob(k, _IN_TEXT) for k, _ in masks))
        """A pattern that matches such a key in text (case is for the caller to fold); empty without masks."""

    def __bool__(self) -> bool:
        return bool(self._by_action)

    def action(self, key: str) -> MaskAction | None:
        """Return what is to happen to the value under this key."""
        found: MaskAction | None = None
        if self._by_action:
            raw = key.strip().encode("utf-8", "replace")
            for action, pattern in self._by_action:
                if pattern.fullmatch(raw) is not None:
                    found = stricter(found, action)
        return found

    @property
    def whole(self) -> str:
        r"""A pattern that matches `\0NAME\0`, or its end, for every name that `action` knows; empty without masks.

        It says nothing of case, and takes more for a blank than `str.strip` does.
        """
        return "|".join(_whole(k) for k in self._globs)


def _whole(key: str) -> str:
    parts = key.strip().split("*")
    start = "" if not parts[0] else rf"\x00{_BLANK}*"
    end = r"[^\x00]*\x00" if not parts[-1] else rf"{_BLANK}*\x00"
    return start + r"[^\x00]*".join(literal(part) for part in parts if part) + end


def _glob(key: str, star: str) -> str:
    return star.join(literal(part) for part in key.strip().split("*"))
