"""Field paths in YAML text: the block structure is followed by columns, so that a path holds in JSON and YAML alike.

Only block mappings and lists are followed. A flow value (`{…}`) that holds a name which ends a path is masked whole.
"""

import re
from dataclasses import dataclass

from holdpoint.domain.mask import MaskAction
from holdpoint.masking.marks import MARK
from holdpoint.masking.paths import Step
from holdpoint.masking.regex import any_of, literal
from holdpoint.masking.rules import Rules, State
from holdpoint.masking.values import BLANK, Value, balanced_end, block_end, line_end, value_at

_KEY = re.compile(rb"(\"(?:[^\"\\\r\n]|\\.)*\"|'[^'\r\n]*'|[^\s#\"'{}\[\],&*!|>%@`][^:\r\n]*?)[ \t]*:(?=[ \t\r\n]|\Z)")
_DASH = re.compile(rb"-(?=[ \t\r\n]|\Z)[ \t]*")


@dataclass(slots=True)
class _Frame:
    column: int
    state: State
    is_item: bool = False
    elements: int = 0


class YamlPaths:
    """Masks by path in text that is laid out as YAML."""

    def __init__(self, rules: Rules) -> None:
        self._start = rules.start
        self._marker = rules.marker
        self.probes: list[str] = sorted({_probe(steps) for steps in rules.paths})
        """Patterns without anchors: where none matches, no path leads anywhere."""
        self._probe = any_of(self.probes)

    def mask(self, text: bytes) -> tuple[bytes, int]:
        """Mask. Returns the text and how many values were masked."""
        if self._probe is None or self._probe.search(text) is None:
            return text, 0
        frames = [_Frame(-1, self._start)]
        out: list[bytes] = []
        done = at = count = 0
        while at < len(text):
            stop = line_end(text, at)
            if text.startswith(b"---", at):
                frames = [_Frame(-1, self._start)]
            elif found := self._line(text, at, stop, frames):
                value, action = found
                if not value.is_masked:
                    mark = self._marker.mark(value.content.decode("utf-8", "replace"), action).encode()
                    out += (text[done : value.start], value.quote, mark, value.quote)
                    done = value.end
                    count += 1
                stop = line_end(text, max(value.end, at))
            at = stop + 1
        out.append(text[done:])
        return b"".join(out), count

    def _line(self, text: bytes, line: int, stop: int, frames: list[_Frame]) -> tuple[Value, MaskAction] | None:
        """Follow one line; return the value that it starts, if that is to be masked."""
        at = _after_blanks(text, line)
        if at >= stop or text[at : at + 1] == b"#":
            return None
        while (dash := _DASH.match(text, at)) and at < stop:
            column = at - line
            while frames[-1].column > column or (frames[-1].column == column and frames[-1].is_item):
                frames.pop()
            state, action = frames[-1].state.element(frames[-1].elements)
            frames[-1].elements += 1
            if action is not None:
                end = block_end(text, at, column)
                return Value(dash.end(), end, b'"', text[dash.end() : end]), action
            frames.append(_Frame(column, state, is_item=True))
            at = dash.end()
        key = _KEY.match(text, at, stop)
        if key is None:
            return None
        column = at - line
        while frames[-1].column >= column:
            frames.pop()
        name = key.group(1)
        quote = name[:1] if name[:1] in {b'"', b"'"} else b""
        bare = name.strip(quote) if quote else name
        state, action, _ = frames[-1].state.next(bare.decode("utf-8", "replace"))
        frames.append(_Frame(column, state))
        if action is not None:
            return value_at(text, at + len(quote), quote, b":", key.end()), action
        start = _after_blanks(text, key.end())
        if text[start : start + 1] in {b"{", b"["}:
            end = balanced_end(text, start)
            # A mark of ours may end in a name that a path ends in (`hmac:`); it holds nothing to mask any more.
            if self._probe is not None and self._probe.search(MARK.sub(b"", text[start:end])) is not None:
                return Value(start, end, b'"', text[start:end]), MaskAction.REDACT
        return None


def _after_blanks(text: bytes, at: int) -> int:
    match = BLANK.match(text, at)
    return match.end() if match else at


def _probe(steps: tuple[Step, ...]) -> str:
    """Return what must occur in a text in which a path leads somewhere: the last name on it, as a key."""
    names = [s.name for s in steps if isinstance(s.name, str)]
    return rf"{literal(names[-1])}[\"']?[ \t]*:" if names else r":[ \t\r\n]|-[ \t]"
