"""Read what a rule asks beside its match: scopes of the token, limits, and a guard over answers."""

import re
from dataclasses import dataclass
from typing import Literal

from holdpoint.domain.decision import GuardAnswer, Rate, RuleRef
from holdpoint.located_yaml import Located
from holdpoint.policy.patterns import MAX_PATTERNS, BadRegex, check_regex

MAX_CALLS = 1_000_000
MAX_SCOPES = 20
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
"""RFC 6749 section 3.3."""
_RATES: tuple[tuple[str, Literal["minute", "session"]], ...] = (
    ("calls_per_minute", "minute"),
    ("calls_per_session", "session"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What `limits:` says."""

    response_bytes: int | None = None
    rates: tuple[Rate, ...] = ()


def read_limits(node: Located, ref: RuleRef) -> Limits:
    """Read the limits of a rule. Raises ConfigError."""
    fields = node.fields(optional=frozenset({"response", "by_tool", *(key for key, _ in _RATES)}))
    response, by_tool = fields.get("response"), fields.get("by_tool")
    size = response.size() if response else None
    if response and size == 0:
        raise response.error("a limit of nothing refuses every answer; write a deny rule")
    alone = by_tool.boolean() if by_tool else True
    rates = tuple(
        Rate(ref, fields[key].integer(low=1, high=MAX_CALLS), per, by_tool=alone)
        for key, per in _RATES
        if key in fields.values
    )
    if by_tool and not rates:
        raise by_tool.error("`by_tool` says how calls are counted: it needs `calls_per_minute` or `calls_per_session`")
    if size is None and not rates:
        raise node.error("empty limits limit nothing; leave `limits` out")
    return Limits(size, rates)


def read_scopes(node: Located) -> frozenset[str]:
    """Read the scopes that a token must have. Raises ConfigError."""
    found: set[str] = set()
    for element in node.elements():
        scope = element.text()
        if not _SCOPE.fullmatch(scope):
            raise element.error("a scope is visible ASCII without blanks, quotes and backslashes; list each by itself")
        if "*" in scope:
            raise element.error(f"`{scope}`: scopes are compared whole, and `*` stands for nothing else here")
        if scope in found:
            raise element.error(f"`{scope}` is listed twice")
        found.add(scope)
    if not found:
        raise node.error("an empty list asks for nothing; leave `scopes` out")
    if len(found) > MAX_SCOPES:
        raise node.error(f"more than {MAX_SCOPES} scopes for one thing")
    return frozenset(found)


def read_guard(node: Located, ref: RuleRef) -> GuardAnswer:
    """Read the patterns that no answer may hold. Raises ConfigError."""
    return GuardAnswer(ref, read_patterns(node.fields(required=frozenset({"results"}))["results"]))


def read_patterns(node: Located) -> tuple[str, ...]:
    """Read a list of regular expressions. Raises ConfigError, at the one that is wrong."""
    found: list[str] = []
    for element in node.elements():
        pattern = element.text()
        try:
            check_regex(pattern)
        except BadRegex as problem:
            raise element.error(str(problem)) from None
        if pattern in found:
            raise element.error("this pattern is listed twice")
        found.append(pattern)
    if not found:
        raise node.error("an empty list matches nothing; leave the key out, or write a pattern")
    if len(found) > MAX_PATTERNS:
        raise node.error(f"more than {MAX_PATTERNS} patterns in one list")
    return tuple(found)
