"""Keys in text: YAML, INI, environment files, headers, log lines, XML, and JSON in pieces.

No parser is run: text that tools print is seldom one language. Wherever a masked key is followed by `:`, `=` or `>`,
what follows is masked, and where it is unclear how far the value reaches, more is masked rather than less:

- a quoted value to its closing quote, or to the end of the text where there is none;
- `{…}` and `[…]` to the closing bracket;
- at the start of a line to the line's end, with every following line that is indented deeper (block scalars,
  folded lines, nested mappings) and the list items of an empty value;
- inside a line to the next blank after `=`, to the end of the line after `:`.
"""

from collections.abc import Callable

from holdpoint.domain.mask import MaskAction
from holdpoint.masking.keys import Keys
from holdpoint.masking.marks import Marker
from holdpoint.masking.regex import Match, Regex, compile_regex
from holdpoint.masking.sections import Sections
from holdpoint.masking.values import Value, value_at, xml_value

_QUOTE = r"\\*[\"']?"
_EDGE = r"(?:^|[^A-Za-z0-9_])"


class KeyText:
    """Masks the values of keys in text."""

    def __init__(self, keys: Keys, secrets: MaskAction | None, marker: Marker) -> None:
        self._keys = keys
        self._marker = marker
        self._sections = Sections(secrets, marker) if secrets is not None else None
        self.probes: list[str] = list(self._sections.probes) if self._sections else []
        """Patterns without anchors: where none matches, there is nothing to do."""
        self._passes: list[tuple[Regex, Callable[[bytes, Match], Value]]] = []
        if keys:
            plain = rf"({keys.text})({_QUOTE})[ \t]*(=>|:=|==?|:)"
            pair = (
                rf"(?:name|key){_QUOTE}[ \t]*[:=][ \t]*{_QUOTE}({keys.text}){_QUOTE}[ \t]*,?\s*{_QUOTE}"
                rf"(value)({_QUOTE})[ \t]*([:=])"
            )
            xml = rf"<(?:[\w.\-]+:)?({keys.text})(?:\s[^<>]*)?>"
            self._passes = [
                (compile_regex(rf"(?i){_EDGE}{pair}"), _pair_value),
                (compile_regex(rf"(?i){_EDGE}{plain}"), _plain_value),
                (compile_regex(rf"(?i){xml}"), _xml_value),
            ]
            self.probes += [rf"(?i:{p})" for p in (plain, pair, xml)]

    def mask(self, text: bytes) -> tuple[bytes, int]:
        """Mask. Returns the text and how many values were masked."""
        count = 0
        if self._sections is not None:
            text, count = self._sections.mask(text)
        for pattern, find in self._passes:
            text, masked = self._pass(text, pattern, find)
            count += masked
        return text, count

    def _pass(self, text: bytes, pattern: Regex, find: Callable[[bytes, Match], Value]) -> tuple[bytes, int]:
        out: list[bytes] = []
        done = at = count = 0
        while (match := pattern.search(text, at)) is not None:
            value = find(text, match)
            at = max(match.end(), value.end)
            action = self._keys.action(text[match.start(1) : match.end(1)].decode())
            # A mark in base64 stays, as those beside it do whose keys say nothing.
            if value.is_masked or value.is_masked_bytes or action is None:
                at = match.end() if action is None else at
                continue
            mark = self._marker.mark(value.content.decode(), action).encode()
            out += (text[done : value.start], value.quote, mark, value.quote)
            done = value.end
            count += 1
        out.append(text[done:])
        return b"".join(out), count


def _plain_value(text: bytes, match: Match) -> Value:
    separator = text[match.start(3) : match.end(3)]
    return value_at(text, match.start(1), text[match.start(2) : match.end(2)], separator, match.end())


def _pair_value(text: bytes, match: Match) -> Value:
    separator = text[match.start(4) : match.end(4)]
    return value_at(text, match.start(2), text[match.start(3) : match.end(3)], separator, match.end())


def _xml_value(text: bytes, match: Match) -> Value:
    return xml_value(text, text[match.start(1) : match.end(1)], match.end())
