"""constraints.txt is the whole environment, on every platform and Python that is supported."""

import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
KNOWN_CONFLICT = "typing-extensions"
"""mitmproxy caps it on Python 3.12, below what the MCP SDK needs: see the head of constraints.txt."""


def roots() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"].values()
    return [Requirement(r) for r in [*project["project"]["dependencies"], *(r for group in groups for r in group)]]


def pinned(environment: dict[str, str]) -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    applying = [r for r in found if r.marker is None or r.marker.evaluate(environment)]
    return {canonicalize_name(r.name): Version(next(iter(r.specifier)).version) for r in applying}


def needs(name: str, extras: frozenset[str], environment: dict[str, str]) -> list[Requirement]:
    """What a distribution that is installed here would need elsewhere."""
    declared = [Requirement(r) for r in requires(name) or []]
    wanted = [{**environment, "extra": extra} for extra in ("", *extras)]
    return [r for r in declared if r.marker is None or any(r.marker.evaluate(w) for w in wanted)]


@pytest.mark.parametrize("python", ["3.12", "3.13", "3.14"])
@pytest.mark.parametrize(("platform", "system"), [("linux", "Linux"), ("darwin", "Darwin")])
def test_everything_needed_is_pinned_and_nothing_else(python: str, platform: str, system: str) -> None:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": platform,
        "platform_system": system,
        "os_name": "posix",
    }
    versions = pinned(environment)
    todo, seen, wrong = roots(), set[tuple[str, frozenset[str]]](), list[str]()
    while todo:
        requirement = todo.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        version = versions.get(name)
        if version is None or (not requirement.specifier.contains(version) and name != KNOWN_CONFLICT):
            wrong.append(f"{requirement} but pinned is {version}")
        elif (name, extras) not in seen:
            seen.add((name, extras))
            # The helper of another platform is not installed here, and needs nothing.
            todo += [] if name in ("mitmproxy-linux", "mitmproxy-macos") else needs(name, extras, environment)
    assert wrong == []
    assert versions.keys() - {name for name, _ in seen} == set()


def test_no_line_leads_to_a_machine_or_an_index() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if "==" not in line or "/" in line or "@" in line or line.startswith("-")] == []
