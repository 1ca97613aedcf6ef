"""`holdpoint policy test`: put the requests of test files to a bundle, and compare what it says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdpoint.domain.decision import Decision, Deny, GuardAnswer, Permit, Rate, RuleRef
from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import load_all
from holdpoint.policy.bundle import Bundle
from holdpoint.policy.engine import Engine
from holdpoint.policy.expected_terms import compare_terms
from holdpoint.policy.schema_tests import Case, read_cases, read_deputies


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case, or one file that could not be read (then `case` is empty)."""

    file: str
    case: str
    where: str
    """`file:line`."""
    problems: tuple[str, ...] = ()
    decision: Decision | None = None
    is_answered: bool = False
    """Whether it was put to the delegations, which decide nothing."""

    @property
    def passed(self) -> bool:
        """Whether the bundle said what it should. A case that was never decided did not pass."""
        return (self.decision is not None or self.is_answered) and not self.problems


@dataclass(frozen=True, slots=True)
class TestReport:
    """What came of all the cases."""

    __test__ = False
    results: tuple[CaseResult, ...]
    untested: tuple[RuleRef, ...]
    """Rules that no case has matched."""

    @property
    def passed(self) -> bool:
        """Whether every case passed. No cases at all have not."""
        return bool(self.results) and all(r.passed for r in self.results)

    def lines(self) -> Iterator[str]:
        """Yield the report, a line at a time."""
        for result in self.results:
            name = result.case or result.file
            yield f"{'ok  ' if result.passed else 'FAIL'} {name}"
            for problem in result.problems:
                yield f"     {problem}" if result.case == "" else f"     {result.where}: {problem}"
        for ref in self.untested:
            yield f"note rule `{ref}` at {ref.where} was matched by no case"
        failed = sum(not r.passed for r in self.results)
        yield (
            f"{len(self.results) - failed} passed, {failed} failed" if self.results else "no tests: nothing was tested"
        )


def run_tests(bundle: Bundle, files: Sequence[Path]) -> TestReport:
    """Run every case of every file. Files that cannot be read, or that test nothing, count as failed cases."""
    engine = Engine(bundle)
    results: list[CaseResult] = []
    matched: set[RuleRef] = set()
    for file in files:
        for result in _run_file(engine, file):
            results.append(result)
            if result.decision is not None:
                matched |= {*result.decision.rules, *result.decision.shadow}
    rules = {rule.ref for policy in bundle.policies for rule in policy.rules}
    untested = sorted(rules - matched, key=lambda r: (r.policy, r.rule))
    return TestReport(tuple(results), tuple(untested))


def _run_file(engine: Engine, file: Path) -> Iterator[CaseResult]:
    try:
        documents = load_all(file)
        cases = [case for document in documents for case in read_cases(document, engine.bundle.targets)]
        deputies = [deputy for document in documents for deputy in read_deputies(document)]
    except ConfigError as error:
        yield CaseResult(str(file), "", error.where, (str(error),))
        return
    if not cases:
        yield CaseResult(str(file), "", str(file), (f"{file}: no cases: this file tests nothing",))
    for case in cases:
        decision = engine.decide(case.request)
        problems = [*_compare(case, decision), *_compare_visible(case, engine)]
        yield CaseResult(str(file), case.name, case.where, tuple(problems), decision)
    for deputy in deputies:
        names = engine.bundle.delegations.acting_for(deputy.person, deputy.groups, deputy.at)
        problems = list(_compare_sets("to speak for", deputy.acting_for, set(names)))
        yield CaseResult(str(file), deputy.name, deputy.where, tuple(problems), is_answered=True)


def effect_of(decision: Decision) -> str:
    """Return `deny`, `hold` or `allow`."""
    match decision:
        case Deny():
            return "deny"
        case Permit():
            return "hold" if decision.approvals else "allow"


def _compare(case: Case, decision: Decision) -> Iterator[str]:
    expected = case.expected
    effect = effect_of(decision)
    if effect != expected.effect:
        rules = ", ".join(map(str, decision.rules)) or "no rule"
        yield f"expected {expected.effect}, got {effect} by {rules}"
    yield from _compare_sets("rules", expected.rules, {str(r) for r in decision.rules})
    yield from _compare_sets("shadow rules", expected.shadow, {str(r) for r in decision.shadow})
    masks = set(decision.masks) if isinstance(decision, Permit) else set[str]()
    yield from _compare_sets("masks", expected.masks, masks)
    yield from _compare_sets(
        "scopes", expected.scopes, set(decision.scopes) if isinstance(decision, Deny) else set[str]()
    )
    duties = decision.obligations if isinstance(decision, Permit) else ()
    rates = {f"{d.calls} a {d.per}" for d in duties if isinstance(d, Rate)}
    yield from _compare_sets("limits", expected.limits, rates)
    guards = {pattern for d in duties if isinstance(d, GuardAnswer) for pattern in d.patterns}
    yield from _compare_sets("guards", expected.guards, guards)
    if expected.message is not None:
        message = decision.message if isinstance(decision, Deny) else ""
        if message != expected.message:
            yield f"expected the message `{expected.message}`, got `{message}`"
    if decision.errors and not expected.errors:
        yield f"a condition failed: {decision.errors[0]}; if that is meant, expect `errors: true`"
    if expected.errors and not decision.errors:
        yield "expected a condition to fail, and none did"
    if expected.approval is not None:
        yield from compare_terms(expected.approval, decision.approvals if isinstance(decision, Permit) else ())


def _compare_visible(case: Case, engine: Engine) -> Iterator[str]:
    wanted = case.expected.visible
    if wanted is not None and engine.visible(case.request) is not wanted:
        yield "expected lists to show it, and they hide it" if wanted else "expected lists to hide it, and they show it"


def _compare_sets(what: str, expected: frozenset[str] | None, found: set[str]) -> Iterator[str]:
    if expected is not None and expected != frozenset(found):
        yield f"expected {what} {_listed(expected)}, got {_listed(found)}"


def _listed(names: frozenset[str] | set[str]) -> str:
    return ", ".join(f"`{n}`" for n in sorted(names)) or "none"
