"""The parts of a match that are about what a request to the Kubernetes API says beside the name of its object.

What is not known, or cannot be read, counts for the stricter side.
"""

from collections.abc import Callable, Iterator

from holdpoint.domain.access import AccessRequest, KubeObject, KubeOptions
from holdpoint.policy.globs import compile_globs
from holdpoint.policy.match_commands import compile_commands
from holdpoint.policy.rules import Effect, Match
from holdpoint.protocols.kubernetes.built_in import honours_dry_run, is_built_in
from holdpoint.protocols.kubernetes.selectors import (
    BadSelector,
    Selector,
    excludes,
    implies,
    parse_fields,
    parse_labels,
)

type Test = Callable[[AccessRequest], bool]
type _KubeTest = Callable[[KubeObject, str], bool]


def compile_options(match: Match, effect: Effect, *, is_certain: bool = False) -> tuple[Test, ...]:
    """Make the tests that read options; `is_certain`: those of a rule that matches nothing in doubt."""
    tests = [_on_object(test) for test in _tests(match, restricts=effect is not Effect.ALLOW)]
    if match.ports:
        tests.append(_on_object(_ports(match.ports, None if is_certain else effect)))
    return tuple(tests)


def _on_object(test: _KubeTest) -> Test:
    def on_request(request: AccessRequest) -> bool:
        return isinstance(request.resource, KubeObject) and test(request.resource, request.action.verb)

    return on_request


def _tests(match: Match, *, restricts: bool) -> Iterator[_KubeTest]:
    if match.label_selectors:
        yield _selectors(match.label_selectors, lambda o: o.label_selector, parse_labels, restricts=restricts)
    if match.field_selectors:
        yield _selectors(match.field_selectors, lambda o: o.field_selector, parse_fields, restricts=restricts)
        if not restricts:
            # An aggregated API server need not know any field.
            yield lambda kube, _: is_built_in(kube.group, kube.resource)
    if match.dry_run is not None:
        yield _dry_run(restricts=restricts, wanted=match.dry_run)
    if match.commands:
        found = compile_commands(match.commands, restricts=restricts)
        yield lambda kube, _: found(kube.options.command)
    if match.containers is not None:
        fits, anything = compile_globs(match.containers), "*" in match.containers
        # Without a name it is the only container of the pod, whatever that is called.
        yield lambda kube, _: fits(kube.options.container) if kube.options.container else restricts or anything
    if match.tty is not None:
        yield lambda kube, _: kube.options.tty is match.tty
    if match.stdin is not None:
        yield lambda kube, _: kube.options.stdin is match.stdin


def _selectors(
    wanted: tuple[Selector, ...],
    read: Callable[[KubeOptions], str],
    parse: Callable[[str], Selector],
    *,
    restricts: bool,
) -> _KubeTest:
    def test(kube: KubeObject, _: str) -> bool:
        try:
            asked = parse(read(kube.options))
        except BadSelector:
            return restricts
        if restricts:
            return not all(excludes(asked, one) for one in wanted)
        return any(implies(asked, one) for one in wanted)

    return test


def _dry_run(*, restricts: bool, wanted: bool) -> _KubeTest:
    def test(kube: KubeObject, verb: str) -> bool:
        asked = kube.options.dry_run
        if asked is wanted:
            # INVARIANT: what changes something all the same is no dry run, whatever it is called.
            return not wanted or restricts or honours_dry_run(verb, kube.group, kube.resource, kube.subresource)
        return restricts and asked and not honours_dry_run(verb, kube.group, kube.resource, kube.subresource)

    return test


def _ports(wanted: tuple[range, ...], effect: Effect | None) -> _KubeTest:
    """Make the test of the ports of a port-forward.

    Over SPDY they are named one by one, and each is decided before a byte of it passes. So a connection that names none
    yet may be opened for those that a rule allows, and waits for those that a rule denies. What a reviewer must agree
    to is asked before it is opened.
    """
    unknown = {Effect.ALLOW: True, Effect.DENY: False, None: False}.get(effect, True)
    restricts = effect not in (Effect.ALLOW, None)

    def test(kube: KubeObject, verb: str) -> bool:
        ports = kube.options.ports
        if not ports:
            return unknown and verb == "portforward"
        inside = [any(port in span for span in wanted) for port in ports]
        return any(inside) if restricts else all(inside)

    return test
