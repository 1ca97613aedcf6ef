"""Field selectors, as apimachinery reads them (pkg/fields/selector.go, `ParseSelector`)."""

_OPERATORS = ("!=", "==", "=")
"""In the order in which they are looked for."""
_ESCAPED = "\\,="


class BadSelector(ValueError):  # noqa: N818  # named after what it is, as Undecodable
    """A field selector that the API server answers with an error."""


def requirements(selector: str) -> list[tuple[str, str, str]]:
    """Return field, operator (`=` or `!=`) and value of every term, in the server's order. Raises BadSelector."""
    found: list[tuple[str, str, str]] = []
    for term in sorted(_terms(selector), key=str.encode):
        if term:
            field, operator, value = _split(term)
            found.append((field, operator, _unescaped(value)))
    return found


def exact_match(selector: str, field: str) -> str | None:
    """Return the value that a field must have for an object to be selected, or None. Raises BadSelector."""
    return next((value for name, operator, value in requirements(selector) if (name, operator) == (field, "=")), None)


def _terms(selector: str) -> list[str]:
    terms: list[str] = []
    start, escaped = 0, False
    for at, character in enumerate(selector):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            terms.append(selector[start:at])
            start = at + 1
    terms.append(selector[start:])
    return terms


def _split(term: str) -> tuple[str, str, str]:
    for at in range(len(term)):
        for operator in _OPERATORS:
            if term.startswith(operator, at):
                return term[:at], "!=" if operator == "!=" else "=", term[at + len(operator) :]
    raise BadSelector("a term without an operator")


def _unescaped(value: str) -> str:
    if not any(c in value for c in _ESCAPED):
        return value
    plain: list[str] = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if not escaped or escaped not in _ESCAPED:
                raise BadSelector("an escape that is none")
            plain.append(escaped)
        elif character in ",=":
            raise BadSelector("a comma or equals sign without an escape")
        else:
            plain.append(character)
    return "".join(plain)
