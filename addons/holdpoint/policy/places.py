"""Where in a file a character of a scalar stands: conditions are text inside YAML, errors name the line of the file."""

from itertools import compress
from typing import Any

from ruamel.yaml.nodes import ScalarNode

from holdpoint.located_yaml import Located


def place_in_text(scalar: Located, text: str, *, line: int, column: int) -> str:
    """Return `file:line:column` of a place within a scalar's value, all counted from one.

    `text` is the whole file. YAML folds and indents only white space, so the n-th other character of the value is the
    n-th other character of its source. Where quotes hide escapes, the place of the scalar itself is returned.
    """
    if not isinstance(scalar.node, ScalarNode):
        return scalar.where
    node: Any = scalar.node  # ruamel has no types; what is taken from it is converted at once
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    source = text[start:end]
    if node.style in ("|", ">"):
        header = source.find("\n") + 1
        start, source = start + header, source[header:]
    elif node.style in ("'", '"'):
        start, source = start + 1, source[1:-1]
    value = str(node.value)
    inked = [not c.isspace() for c in source]
    if [c for c in value if not c.isspace()] != list(compress(source, inked)):
        return scalar.where
    lines = value.split("\n")
    before = "\n".join([*lines[: line - 1], lines[line - 1][: column - 1]]) if line <= len(lines) else value
    count = sum(not c.isspace() for c in before)
    places = list(compress(range(len(source)), inked))
    end_of_text = places[-1] + 1 if places else 0
    at = start + (places[count] if count < len(places) else end_of_text)
    return f"{scalar.file}:{text.count('\n', 0, at) + 1}:{at - text.rfind('\n', 0, at)}"
