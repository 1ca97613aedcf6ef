"""`holdpoint policy check|test|reload`."""

import argparse
import sys
from pathlib import Path

from holdpoint.cli.common import Commands, ask, settings_of
from holdpoint.domain.values import as_object, as_text
from holdpoint.policy.bundle import load_bundle
from holdpoint.policy.checks import check
from holdpoint.policy.testing import run_tests
from holdpoint.settings import Settings
from holdpoint.stages.policies import load_policies


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("policy", help="check, test and reload policies").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    checking = group.add_parser("check", help="load every policy file that the settings name, and say what is wrong")
    checking.set_defaults(run=_check)
    testing = group.add_parser("test", help="run policy tests: request in, effect, rules and duties out")
    testing.add_argument("files", nargs="*", type=Path, help="test files (default: tests/*.yaml beside the policies)")
    testing.set_defaults(run=_test)
    group.add_parser("reload", help="have the running gateway load its policies again").set_defaults(run=_reload)


def _check(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    problems = check(settings.policies, {t.name: t.protocol for t in settings.targets})
    for problem in problems:
        print(problem)
    if problems:
        return 1
    for caution in settings.cautions:
        print(f"holdpoint: warning: {caution}", file=sys.stderr)
    policies = load_policies(settings, b"a key that masks nothing but this check")
    print(f"{len(settings.policies)} files are good, bundle {policies.bundle.hash}")
    return 0


def _default_tests(settings: Settings) -> list[Path]:
    """Return the tests beside the policies in force: `tests/NAME.yaml` for `NAME.yaml`."""
    beside = (p.parent / "tests" / p.name for p in settings.policies)
    return [p for p in beside if p.is_file()]


def _test(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    bundle = load_bundle(settings.policies, targets={t.name: t.protocol for t in settings.targets})
    report = run_tests(bundle, arguments.files or _default_tests(settings))
    for line in report.lines():
        print(line)
    return 0 if report.passed else 1


def _reload(arguments: argparse.Namespace) -> int:
    answer = as_object(ask(settings_of(arguments), "policy.reload", {}))
    print(f"policies reloaded, bundle {as_text(answer.get('bundle'))}")
    return 0
