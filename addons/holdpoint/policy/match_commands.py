"""The commands of an exec. What allows one knows all of it; what restricts one looks for its words anywhere.

Looking for words is advice, not a wall: a shell has more ways to write a word than anybody can list.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from holdpoint.policy.globs import TextTest, compile_globs

REST = "**"
"""The last of a pattern: any words at all may follow."""
MAX_WORDS = 50_000
_WORDS = re.compile(r"[^\s;&|()<>`{}=,\[\]]+")
_QUOTES = str.maketrans("", "", "'\"\\")

type Command = tuple[str, ...]


def compile_commands(patterns: Sequence[Command], *, restricts: bool) -> Callable[[Command], bool]:
    """Make a test of an `argv`. One that is not known is allowed by no pattern and restricted by each."""
    compiled = [_compiled(p) for p in patterns]
    return _anywhere(compiled) if restricts else _whole(compiled)


def _compiled(pattern: Command) -> tuple[list[TextTest], bool]:
    rest = pattern[-1:] == (REST,)
    return [compile_globs([glob]) for glob in (pattern[:-1] if rest else pattern)], rest


def _whole(patterns: Sequence[tuple[list[TextTest], bool]]) -> Callable[[Command], bool]:
    def fits(command: Command) -> bool:
        return bool(command) and any(
            (len(command) >= len(tests) if rest else len(command) == len(tests))
            and all(test(word) for test, word in zip(tests, command, strict=False))
            for tests, rest in patterns
        )

    return fits


def _anywhere(patterns: Sequence[tuple[list[TextTest], bool]]) -> Callable[[Command], bool]:
    def found(command: Command) -> bool:
        if not command:
            return True
        lines = [list(command), *(list(_words(word)) for word in command)]
        if sum(map(len, lines)) > MAX_WORDS:
            return True  # nobody reads it through
        return any(_in_a_row(tests, line) for line in lines for tests, _ in patterns)

    return found


def _in_a_row(tests: list[TextTest], words: list[str]) -> bool:
    if not tests:
        return True
    return any(
        all(_fits(test, word) for test, word in zip(tests, words[start : start + len(tests)], strict=True))
        for start in range(len(words) - len(tests) + 1)
    )


def _fits(test: TextTest, word: str) -> bool:
    return test(word) or test(word.rpartition("/")[2])


def _words(text: str) -> Iterator[str]:
    for found in _WORDS.finditer(text):
        yield found[0].translate(_QUOTES)
