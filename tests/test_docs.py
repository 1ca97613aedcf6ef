"""The documentation says what is true: every id has its test, every command its line, every link its end."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdpoint.cli.commands import parser
from holdpoint.stages.admin_methods import AdminMethods

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
TESTS = sorted(p for p in (ROOT / "tests").rglob("test_*.py") if p != Path(__file__))


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def rows(page: Path, start: str) -> dict[str, list[str]]:
    """Rows of the tables of a page whose first cell begins so, by that cell."""
    found: dict[str, list[str]] = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0].startswith(start):
            assert cells[0] not in found, f"{cells[0]} stands twice in {name(page)}"
            found[cells[0]] = cells
    return found


def marked(kind: str) -> dict[str, set[str]]:
    """Files of tests by the ids that their markers name, relative to tests/."""
    found: dict[str, set[str]] = {}
    for file in TESTS:
        for mark in re.findall(rf'mark\.{kind}\("([^"]*)"\)', file.read_text(encoding="utf-8")):
            found.setdefault(mark, set()).add(str(file.relative_to(ROOT / "tests")))
    return found


TABLES = [
    pytest.param("threat", DOCS / "threat-model.md", "T", id="threats"),
    pytest.param("failure", DOCS / "failure-modes.md", "F-", id="failures"),
]


@pytest.mark.parametrize(("kind", "page", "start"), TABLES)
def test_every_row_has_a_test_with_its_marker_and_every_marker_a_row(kind: str, page: Path, start: str) -> None:
    documented, tested = rows(page, start), marked(kind)
    assert documented
    assert documented.keys() - tested.keys() == set(), "rows without a test"
    assert tested.keys() - documented.keys() == set(), "markers without a row"


@pytest.mark.parametrize(("kind", "page", "start"), TABLES)
def test_every_row_is_whole_and_names_tests_that_bear_its_marker(kind: str, page: Path, start: str) -> None:
    table, tested = rows(page, start), marked(kind)
    assert len({len(cells) for cells in table.values()}) == 1
    for row, cells in table.items():
        assert all(cells), f"{row} has an empty cell"
        named = set(re.findall(r"`([\w/]+\.py)`", "".join(cells)))
        assert named, f"{row} names no test"
        assert named <= tested[row], f"{row} names tests without its marker"


def test_every_id_in_the_pages_has_a_row() -> None:
    known = rows(DOCS / "threat-model.md", "T").keys() | rows(DOCS / "failure-modes.md", "F-").keys()
    for page in PAGES:
        named = re.findall(r"(?<![\w-])(T\d\d|F-[a-z][a-z-]*[a-z])(?![\w-])", page.read_text(encoding="utf-8"))
        assert set(named) - known == set(), name(page)


def commands() -> Iterator[tuple[str, str]]:
    """Every command with the line that stands for it in the reference."""

    def walk(command: argparse.ArgumentParser, text: str) -> Iterator[tuple[str, str]]:
        groups = [a for a in command._actions if isinstance(a, argparse._SubParsersAction)]
        for group in groups:
            texts = {choice.dest: choice.help or "" for choice in group._choices_actions}
            for word, inner in group.choices.items():
                yield from walk(inner, texts[word])
        if not groups:
            takes = [a for a in command._actions if a.dest != "help"]
            words = "".join(f" {a.dest.upper()}" + ("…" if a.nargs else "") for a in takes if not a.option_strings)
            options = "; ".join(f"`{a.option_strings[0]}` {a.help}" for a in takes if a.option_strings)
            extra = "; ".join(f"{a.dest.upper()}: {a.help}" for a in takes if not a.option_strings and a.help)
            last = "; ".join(filter(None, (extra, options)))
            yield command.prog, f"| `{command.prog}{words}` | {text} | {last} |".replace("|  |", "| |")

    return walk(parser(), "")


def test_every_command_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8").splitlines()
    assert [line for _, line in commands() if line not in page] == []


def test_reference_names_no_command_that_does_not_exist() -> None:
    known = {line.split("`")[1] for _, line in commands()}
    assert {row.strip("`") for row in rows(DOCS / "reference" / "cli.md", "`holdpoint")} == known


def test_every_admin_method_is_in_the_reference() -> None:
    methods = AdminMethods.__new__(AdminMethods).table().keys()
    documented = rows(DOCS / "reference" / "cli.md", "`")
    named = {row.strip("`") for row in documented if not row.startswith("`holdpoint") and not row.startswith("`$")}
    assert named == methods


INDEX_INSTALL = re.compile(r"(?:pip3?|pipx|uv tool|uvx|uv pip|uv add)\b[^\n`|;&]*[\s\"'(]holdpoint(?![\w/.-])")
"""Somebody else's program bears this name on PyPI."""


def test_nobody_is_told_to_install_what_bears_this_name_on_a_package_index() -> None:
    assert INDEX_INSTALL.search('pip install "holdpoint[otel]"')
    assert INDEX_INSTALL.search("(pip install holdpoint)")
    said = [*PAGES, *(DOCS / "manifests").iterdir(), *(ROOT / "policies").rglob("*.yaml")]
    said += [*(ROOT / "addons").rglob("*.py"), *(p for p in (ROOT / "scripts").rglob("*") if p.is_file())]
    wrong = [str(p.relative_to(ROOT)) for p in said if INDEX_INSTALL.search(p.read_text(encoding="utf-8"))]
    assert wrong == []


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        end = (page.parent / path).resolve() if path else page
        if not end.exists() or (anchor and end.suffix == ".md" and anchor not in anchors(end)):
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert set(PAGES) - reached == set()


def test_every_environment_variable_that_is_named_is_read() -> None:
    named = {v for page in PAGES for v in re.findall(r"\bHOLDPOINT_[A-Z_]+\b", page.read_text(encoding="utf-8"))}
    code = [*(ROOT / "addons").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    code += [p for p in (ROOT / "scripts").rglob("*") if p.is_file()]
    read = "\n".join(p.read_text(encoding="utf-8", errors="replace") for p in code if p != Path(__file__))
    assert {v for v in named if v not in read} == set()


def test_every_file_of_the_repository_that_is_named_exists() -> None:
    pattern = re.compile(r"`((?:addons|tests|docs|scripts)/[\w./-]+)`")
    missing = {
        f"{name(page)}: {path}"
        for page in PAGES
        for path in pattern.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    }
    assert missing == set()
