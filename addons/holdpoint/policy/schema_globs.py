"""Read a list of globs."""

from holdpoint.located_yaml import Located
from holdpoint.policy.globs import glob_problem
from holdpoint.policy.rules import Globs


def read_globs(node: Located | None, *, may_be_empty: bool = False) -> Globs:
    """Return the globs of a list; None where the key is not there. Raises ConfigError."""
    if node is None:
        return None
    found: list[str] = []
    for element in node.elements():
        text = element.text()
        problem = glob_problem(text, may_be_empty=may_be_empty)
        if problem:
            raise element.error(problem)
        if text in found:
            raise element.error(f"`{text}` is listed twice")
        found.append(text)
    if not found:
        raise node.error("an empty list matches nothing; leave the key out, or name something")
    return tuple(found)
