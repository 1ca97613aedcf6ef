from pathlib import Path

import pytest
from mitmproxy.utils.emoji import emoji

from holdpoint.domain.audit import AuditStage
from holdpoint.recording.annotation import _MARKERS
from holdpoint.recording.report import Problem

DOCS = Path(__file__).parents[3] / "docs"


def page(name):
    return (DOCS / name).read_text()


@pytest.mark.parametrize("stage", [s.value for s in AuditStage])
def test_every_stage_is_documented(stage):
    assert f"`{stage}`" in page("reference/audit-event.md")


@pytest.mark.parametrize("problem", [p.value for p in Problem])
def test_every_problem_is_documented(problem):
    assert f"`{problem}`" in page("reference/recording-format.md")


@pytest.mark.parametrize("outcome", list(_MARKERS))
def test_every_marker_is_documented(outcome):
    symbol = emoji[_MARKERS[outcome]]
    assert symbol in page("reference/recording-format.md")
    assert symbol in page("how-to/inspect-in-mitmweb.md")
