"""The parts of a `match:` that only Kubernetes has, and what of them could match nothing or more than can be meant."""

import re
import shlex
from collections.abc import Callable

from holdpoint.located_yaml import Fields, Located
from holdpoint.policy import verbs
from holdpoint.policy.globs import compile_globs, glob_problem
from holdpoint.policy.match_commands import REST
from holdpoint.policy.rules import Effect, Match
from holdpoint.protocols.kubernetes.selectors import BadSelector, Selector, parse_fields, parse_labels

OPTION_GLOBS = frozenset({"containers"})
OPTIONS = frozenset({"label_selectors", "field_selectors", "dry_run", "commands", "tty", "stdin", "ports"})
"""Keys that are no lists of globs."""
_MAX_PORT = 65_535
_PORTS = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")
_SHELLS = frozenset({"attach", "cp", "exec"})
_VERBS_OF: dict[str, frozenset[str]] = {
    "label_selectors": verbs.KUBERNETES_COLLECTIONS,
    "field_selectors": verbs.KUBERNETES_COLLECTIONS,
    "commands": frozenset({"cp", "exec"}),
    "containers": _SHELLS | {"get"},
    "tty": _SHELLS,
    "stdin": _SHELLS,
    "ports": frozenset({"portforward"}),
}
"""Verbs of requests that say such a thing. A rule that asks for it lists no others: what would it mean there?"""


def read_labels(node: Located | None) -> tuple[Selector, ...]:
    """Read label selectors. Raises ConfigError."""
    return _selectors(node, parse_labels)


def read_fields(node: Located | None) -> tuple[Selector, ...]:
    """Read field selectors. Raises ConfigError."""
    return _selectors(node, parse_fields)


def _selectors(node: Located | None, parse: Callable[[str], Selector]) -> tuple[Selector, ...]:
    found: list[Selector] = []
    for element in _elements(node):
        try:
            selector = parse(element.text())
        except BadSelector as problem:
            raise element.error(f"`{element.text()}` is no selector: {problem}") from None
        if not selector:
            raise element.error("an empty selector selects everything; leave it out")
        found.append(selector)
    return tuple(found)


def read_commands(node: Located | None) -> tuple[tuple[str, ...], ...]:
    """Read commands: lists of globs, or texts that are split as a shell does. Raises ConfigError."""
    found: list[tuple[str, ...]] = []
    for element in _elements(node):
        if element.is_sequence:
            words = tuple(e.text() for e in element.elements())
        else:
            try:
                words = tuple(shlex.split(element.text()))
            except ValueError:
                raise element.error("a quote is not closed; write the command as a list of words") from None
        if not words:
            raise element.error("an empty command is none")
        for place, word in enumerate(words):
            if word == REST and place == len(words) - 1:
                continue
            problem = glob_problem(word, may_be_empty=True)
            if problem:
                raise element.error(f"{problem}; `{REST}` may stand last, for whatever follows")
        found.append(words)
    return tuple(found)


def read_ports(node: Located | None) -> tuple[range, ...]:
    """Read ports, one or several in a row: `8080`, `"8000-8010"`. Raises ConfigError."""
    found: list[range] = []
    for element in _elements(node):
        match = _PORTS.fullmatch(str(element.json()))
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 0 < low <= high <= _MAX_PORT:
            raise element.error('expected a port, as `8080`, or several in a row, as `"8000-8010"`')
        found.append(range(low, high + 1))
    return tuple(found)


def _elements(node: Located | None) -> list[Located]:
    elements = list(node.elements()) if node else []
    if node and not elements:
        raise node.error("an empty list matches nothing; leave the key out, or name something")
    return elements


def check_kubernetes(node: Located, fields: Fields, match: Match, effect: Effect) -> None:
    """Refuse what can match nothing on a Kubernetes target, or would allow without naming. Raises ConfigError."""
    listed = frozenset(match.verbs or ())
    for key, about in _VERBS_OF.items():
        found = fields.get(key)
        if found and not (listed and listed <= about):
            names = ", ".join(f"`{v}`" for v in sorted(about))
            raise found.error(f"`{key}` needs `verbs` beside it, and none but {names}")
    _check_streams(node, fields, match, listed)
    if verbs.IMPERSONATE in listed and effect is Effect.ALLOW:
        for key in ("resources", "names"):
            if key not in fields.values:
                raise node.error(f"this would allow to act as anybody: name `{key}` too")


def _check_streams(node: Located, fields: Fields, match: Match, listed: frozenset[str]) -> None:
    # Exec and its like go by verbs of their own here. A deny rule that is written for the API server's verbs would
    # match nothing.
    streams = listed & (verbs.KUBERNETES_STREAMS | {verbs.COPY})
    if match.paths is None and streams and match.resources is None:
        raise (fields.get("verbs") or node).error(f"`{min(streams)}` needs `resources` beside it, as `[pods]`")
    resources = fields.get("resources")
    fits = compile_globs(match.verbs if match.verbs is not None else ["*"])
    for element in resources.elements() if resources else ():
        below = element.text().partition("/")[2]
        wanted = {below, verbs.COPY} if below == "exec" else {below}
        if below in verbs.KUBERNETES_STREAMS and not any(fits(v) for v in wanted):
            raise element.error(f"`{element.text()}` goes by the verb `{below}` here, and by no other")
