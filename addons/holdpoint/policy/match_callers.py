"""The parts of a match that are about the caller: what its token proves, what it says of itself, how it speaks."""

from collections.abc import Callable

from holdpoint.domain.access import AccessRequest, Principal, person_name
from holdpoint.policy.facts import protocol_version
from holdpoint.policy.globs import TextTest, compile_globs
from holdpoint.policy.rules import Effect, Match, PrincipalKey, Rule

type Test = Callable[[AccessRequest], bool]

_READ: dict[PrincipalKey, Callable[[Principal], str | None]] = {
    "persons": lambda p: p.person,
    "subjects": lambda p: p.subject,
    "issuers": lambda p: p.issuer,
    "kinds": lambda p: p.kind,
    "clients": lambda p: p.client_id,
    "actors": lambda p: p.actor.subject if p.actor else None,
}


def compile_caller(rule: Rule) -> tuple[Test, ...]:
    """Make the tests that read nothing of what is asked for."""
    match = rule.match
    words = (_on_word(name, compile_globs(globs)) for name, globs in sorted(match.unverified.items()))
    return (*_of_principal(match), *words, *_of_version(match, rule.effect))


def _of_principal(match: Match) -> tuple[Test, ...]:
    tests: list[Test] = []
    for key, read in _READ.items():
        globs = match.principals.get(key)
        if globs is not None:
            tests.append(_on_text(compile_globs([person_name(g) for g in globs] if key == "persons" else globs), read))
    groups = match.principals.get("groups")
    if groups is not None:
        tests.append(_on_groups(groups))
    return tuple(tests)


def _on_text(fits: TextTest, read: Callable[[Principal], str | None]) -> Test:
    def test(request: AccessRequest) -> bool:
        text = read(request.principal)
        return bool(text) and fits(text or "")

    return test


def _on_groups(globs: tuple[str, ...]) -> Test:
    if all("*" not in g for g in globs):
        exact = frozenset(globs)
        return lambda request: not exact.isdisjoint(request.principal.groups)
    fits = compile_globs(globs)
    return lambda request: any(map(fits, request.principal.groups))


def _on_word(name: str, fits: TextTest) -> Test:
    def test(request: AccessRequest) -> bool:
        word = request.unverified.get(name)
        return word is not None and fits(word)

    return test


def _of_version(match: Match, effect: Effect) -> tuple[Test, ...]:
    if match.protocol_versions is None:
        return ()
    fits = compile_globs(match.protocol_versions)
    restricts = effect is not Effect.ALLOW

    def test(request: AccessRequest) -> bool:
        version = protocol_version(request)
        # A version that nobody knows may be any: rules that restrict count it, rules that allow do not.
        return fits(version) if version else restricts

    return (test,)
