"""The parts of a match that read arguments. What allows takes them as written, what restricts as any server might."""

from collections.abc import Callable

from holdpoint.domain.access import AccessRequest
from holdpoint.policy.argument_paths import ArgumentPath, exact_values, possible_values
from holdpoint.policy.argument_values import Unreadable, json_text, spellings, strings
from holdpoint.policy.globs import TextTest, compile_globs
from holdpoint.policy.patterns import compile_patterns
from holdpoint.policy.rules import Effect, Rule

type Test = Callable[[AccessRequest], bool]


def compile_arguments(rule: Rule) -> tuple[Test, ...]:
    """Make the tests that read arguments. None: the rule does not."""
    make = _every if rule.effect is Effect.ALLOW else _any
    tests = [make(path, globs) for path, globs in rule.match.arguments.items()]
    if rule.match.argument_patterns:
        tests.append(_found_anywhere(rule.match.argument_patterns))
    return tuple(tests)


def _every(path: ArgumentPath, globs: tuple[str, ...]) -> Test:
    # INVARIANT: absence never opens. No value, `null`, a list or an object where a text is expected: no match.
    fits = compile_globs(globs)

    def fits_value(text: str | None) -> bool:
        return text is not None and fits(text)

    def test(request: AccessRequest) -> bool:
        values = exact_values(path, request.arguments)
        return bool(values) and all(v is not None and fits_value(json_text(v)) for v in values or ())

    return test


def _any(path: ArgumentPath, globs: tuple[str, ...]) -> Test:
    fits, anything = compile_globs(globs), "*" in globs

    def test(request: AccessRequest) -> bool:
        try:
            values = possible_values(path, request.arguments)
            return any(anything or any(map(fits, spellings(value))) for value in values)
        except Unreadable:
            return True

    return test


def _found_anywhere(patterns: tuple[str, ...]) -> Test:
    found: TextTest = compile_patterns(patterns)
    return lambda request: any(map(found, strings(request.arguments)))
