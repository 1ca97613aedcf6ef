"""`kubectl cp` is an exec of `tar`, and has a permission of its own."""

from collections.abc import Sequence

_OUT = ("tar", "cf", "-")
_IN = (("tar", "-xmf", "-"), ("tar", "xmf", "-"), ("tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"))
_LOOK = ("test", "-d")


def is_copy(command: Sequence[str], *, stdin: bool, tty: bool) -> bool:
    """Tell whether an exec is exactly what `kubectl cp` makes (kubectl, pkg/cmd/cp/cp.go), and can do nothing else.

    `tar` takes options anywhere, and some of them run programs: a path that begins with a dash is none here. So is the
    shell in which `--retries` wraps `tar`.
    """
    argv = tuple(command)
    if tty:
        return False
    if argv[:3] == _OUT or argv[:2] == _LOOK:
        rest = argv[3:] if argv[:3] == _OUT else argv[2:]
        return len(rest) == 1 and _is_path(rest[0]) and not stdin
    for prefix in _IN:
        if argv[: len(prefix)] == prefix:
            rest = argv[len(prefix) :]
            return stdin and (not rest or (len(rest) == 2 and rest[0] == "-C" and _is_path(rest[1])))  # noqa: PLR2004
    return False


def _is_path(text: str) -> bool:
    return bool(text) and not text.startswith(("-", "@"))
