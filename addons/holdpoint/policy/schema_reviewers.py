"""Read who may say yes: names of people and groups, and sets of them that must all be met."""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import combinations

from holdpoint.domain.access import person_name
from holdpoint.domain.decision import Clause
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy.reviewers import LIST, ReviewerList

MAX_REVIEWERS = 20
"""Persons that one rule may ask for, in all."""
MAX_CLAUSES = 5


def read_clauses(fields: Fields, lists: Mapping[str, ReviewerList]) -> tuple[Clause, ...]:
    """Read `reviewers` and `required`, or `all_of` in their place. Raises ConfigError."""
    several = fields.get("all_of")
    if several is None:
        if "reviewers" not in fields.values:
            raise fields.owner.error("key `reviewers` is missing; name who may approve, or several sets under `all_of`")
        return (_clause(fields, lists),)
    for key in ("reviewers", "required"):
        beside = fields.get(key)
        if beside:
            raise beside.error(f"`{key}` beside `all_of`: write it within, as one of the sets")
    elements = several.elements()
    if not 1 < len(elements) <= MAX_CLAUSES:
        raise several.error(f"expected 2 to {MAX_CLAUSES} sets; for a single one write `reviewers` and `required`")
    found: list[Clause] = []
    for element in elements:
        clause = _clause(element.fields(required=frozenset({"reviewers"}), optional=frozenset({"required"})), lists)
        if clause.reviewers in {c.reviewers for c in found}:
            raise element.error("the same reviewers twice; write them once, with a larger `required`")
        found.append(clause)
    if sum(c.required for c in found) > MAX_REVIEWERS:
        raise several.error(f"more than {MAX_REVIEWERS} persons for one request")
    short = _lacking(found)
    if short:
        needed, named = short
        raise several.error(f"{needed} persons are required of {named} named: nobody could ever pass")
    return tuple(found)


def read_names(node: Located, lists: Mapping[str, ReviewerList] | None = None) -> frozenset[str]:
    """Read a list of reviewers. `lists`: those that may be named by `list:NAME`; None: none. Raises ConfigError."""
    found: set[str] = set()
    for element in node.elements():
        text = _name(element, lists)
        if text in found:
            raise element.error(f"`{text}` is listed twice")
        found.add(text)
    if not found:
        raise node.error("no reviewers: nobody could ever approve")
    return frozenset(found)


def read_person_or_group(node: Located) -> str:
    """Read one `group:NAME` or `person:NAME`. Raises ConfigError."""
    return _name(node, None)


def _name(node: Located, lists: Mapping[str, ReviewerList] | None) -> str:
    text = node.text()
    kind, _, name = text.partition(":")
    if lists is not None and kind == "list":
        if name not in lists:
            close = get_close_matches(name, lists, n=1)
            known = ", ".join(f"`{n}`" for n in sorted(lists)) or "none; write a document of `kind: Reviewers`"
            hint = f"did you mean `list:{close[0]}`?" if close else f"known: {known}"
            raise node.error(f"unknown list `{name}`; {hint}")
        return text
    if kind not in ("group", "person") or not name or name != name.strip() or "*" in name:
        also = ", or `list:NAME`" if lists is not None else ""
        raise node.error(f"`{text}` is no reviewer; write `group:NAME` or `person:NAME`{also}, without wildcards")
    return f"person:{person_name(name)}" if kind == "person" else text


def _clause(fields: Fields, lists: Mapping[str, ReviewerList]) -> Clause:
    reviewers = read_names(fields["reviewers"], lists)
    count = fields.get("required")
    required = count.integer(low=1, high=MAX_REVIEWERS) if count else 1
    if count and _lacking([Clause(reviewers, required)]):
        raise count.error(f"{required} persons are required and {len(reviewers)} named: nobody could ever pass")
    for name in sorted(n for n in reviewers if n.startswith(LIST)):
        known = lists[name.removeprefix(LIST)]
        others = reviewers - {name}
        short = [c for c in known.choices if _lacking([Clause(c | others, required)])]
        if short:
            named = ", ".join(f"`{n}`" for n in sorted(short[0]))
            raise fields["reviewers"].error(
                f"{required} persons are required, and `{name}` (at {known.where}) names just {named} somewhere"
            )
    return Clause(reviewers, required)


def _lacking(clauses: list[Clause]) -> tuple[int, int] | None:
    """Return how many persons some of these sets ask for, and how many they name, where that is fewer (Hall)."""
    named = [c for c in clauses if all(r.startswith("person:") for r in c.reviewers)]
    for size in range(1, len(named) + 1):
        for some in combinations(named, size):
            needed, persons = sum(c.required for c in some), frozenset[str]().union(*(c.reviewers for c in some))
            if needed > len(persons):
                return needed, len(persons)
    return None
