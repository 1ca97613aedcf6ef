"""The references say what the code does."""

from pathlib import Path

import pytest

from holdpoint.domain.refusal import HTTP_STATUS, RefusalKind
from holdpoint.protocols import mcp
from holdpoint.protocols.mcp_refusals import CODES
from holdpoint.protocols.mcp_version import SUPPORTED

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("kind", RefusalKind)
def test_every_refusal_is_in_the_reference(kind):
    lines = (REFERENCE / "refusals.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{kind.value}` |")]
    assert str(HTTP_STATUS[kind]) in row
    assert str(CODES[kind]) in row


def test_every_version_and_every_read_is_in_the_reference():
    text = (REFERENCE / "mcp-decoding.md").read_text(encoding="utf-8")
    missing = [name for name in [*SUPPORTED, *mcp.READS] if name.removeprefix("notifications/") not in text]
    assert missing == []
