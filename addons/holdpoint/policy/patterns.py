"""Regular expressions in rules: RE2, checked when the policy is read, and one search for all of a rule's patterns."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

MAX_PATTERN = 4_096
MAX_PATTERNS = 100
_MEMORY = 32 << 20

# The package ships no types; what it returns is converted at once.
_re2: Any = import_module("re2")

_ADVICE = (
    ("missing )", "a `(` is not closed; write `\\(` for the character"),
    ("unexpected )", "a `)` closes nothing; write `\\)` for the character"),
    ("missing ]", "a `[` is not closed; write `\\[` for the character"),
    ("bad repetition operator", "a repetition is repeated; put brackets around the inner one"),
    ("no argument for repetition", "there is nothing to repeat before `*`, `+` or `?`; write `\\*` for the character"),
    ("invalid repetition size", "RE2 repeats at most 1000 times, from the smaller number to the larger"),
    (
        "invalid perl operator",
        "RE2 has no look-ahead, look-behind or comments; its flags are `(?i)` and `(?s)`",
    ),
    ("invalid escape sequence", "RE2 does not know this escape, and has no back-references"),
    ("invalid character class", "the range or class does not exist; ranges go upwards, as in `[a-z]`"),
    ("invalid named capture", "a named group is written `(?P<name>…)`"),
    ("trailing \\", "it ends with a lone `\\`; write `\\\\` for the character"),
)


class BadRegex(ValueError):  # noqa: N818  # named after what happened
    """A pattern that a rule cannot use."""


def regex_advice(detail: str) -> str:
    """Return RE2's own words about a pattern, and what to do about it."""
    hint = next((text for start, text in _ADVICE if detail.startswith(start)), "")
    return f"{detail}; {hint}" if hint else detail


def check_regex(pattern: str) -> None:
    """Raise BadRegex unless a pattern compiles, stands alone, and asks for something."""
    if not pattern or len(pattern) > MAX_PATTERN:
        raise BadRegex(f"a pattern has 1 to {MAX_PATTERN} characters")
    compiled = _compile(pattern)
    # Alone and in brackets it must be the same: patterns are joined, and a `\Q` without `\E` would take the others in.
    try:
        _compile(f"(?:{pattern})")
    except BadRegex:
        raise BadRegex("a `\\Q` needs its `\\E`") from None
    if compiled.search(b"") is not None:
        raise BadRegex("this also matches the empty text, and so everything; say what must be there")


def compile_patterns(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Make a test that is true for text in which any pattern is found. Raises BadRegex."""
    for pattern in patterns:
        check_regex(pattern)
    search = _compile("|".join(f"(?:{p})" for p in patterns)).search
    return lambda text: search(text.encode("utf-8", "surrogatepass")) is not None


def _compile(pattern: str) -> Any:  # noqa: ANN401  # see _re2
    options = _re2.Options()
    options.never_capture = True
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return _re2.compile(pattern.encode("utf-8", "strict"), options)
    except _re2.error as error:
        text = error.args[0] if error.args else ""
        detail = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        raise BadRegex(f"no regular expression of RE2: {regex_advice(detail)}") from None
