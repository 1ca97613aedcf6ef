"""Globs with one wildcard: `*` stands for any run of characters, `/` and none at all included.

Everything else is literal, `?` and `[...]` too. A leading `!` and a `**` are refused when the rule is read, so that
nobody relies on a meaning that they have elsewhere.
"""

from collections.abc import Callable, Sequence

type TextTest = Callable[[str], bool]

MAX_LENGTH = 1_000


def glob_problem(glob: str, *, may_be_empty: bool = False) -> str:
    """Say why `glob` is not one, or return nothing at all."""
    if not glob:
        return "" if may_be_empty else "an empty glob matches nothing"
    if len(glob) > MAX_LENGTH:
        return f"longer than {MAX_LENGTH} characters"
    if "**" in glob:
        return f"`{glob}` holds `**`; one `*` already stands for any run of characters, `/` included"
    if glob.startswith("!"):
        return f"`{glob}` starts with `!`; there is no negation, write a rule of its own"
    if glob != glob.strip() or not glob.isprintable():
        return "a glob holds no control characters and does not start or end with a space"
    return ""


def compile_globs(globs: Sequence[str]) -> TextTest:
    """Make a test that is true for text that any of `globs` matches. No globs at all match nothing."""
    if "*" in globs:
        return lambda _: True
    exact = frozenset(g for g in globs if "*" not in g)
    prefixes = tuple(g[:-1] for g in globs if g.endswith("*") and "*" not in g[:-1])
    patterns = tuple(tuple(g.split("*")) for g in globs if "*" in g[:-1])
    if not patterns and not prefixes:
        return exact.__contains__
    if not patterns:
        return lambda text: text in exact or text.startswith(prefixes)
    return lambda text: text in exact or text.startswith(prefixes) or any(_fits(parts, text) for parts in patterns)


def _fits(parts: tuple[str, ...], text: str) -> bool:
    # Leftmost search is enough with one wildcard, and never takes more than len(text) * len(parts) steps.
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
