"""What holds for every test: hypothesis profiles, and no silent skips where a machine should have everything."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

IS_CI = os.environ.get("CI", "").lower() in ("1", "true")
PLATFORM = "platform: "
"""A skip whose reason starts so is right: the test has no meaning on this system."""

# The machine may be slow: no deadline, a test of speed is a benchmark.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IS_CI else "dev"))


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
