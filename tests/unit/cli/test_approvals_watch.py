"""`holdpoint approvals watch` says what happens, once."""

from typing import Any

import pytest

from holdpoint.cli.approvals_watch import Standing, changes, line

pytestmark = pytest.mark.threat("T89")


def request(**more: Any) -> dict[str, Any]:
    return {"id": "apr-1", "state": "pending", "votes": [], "target": "demo", "action": "tools/call", **more}


BEFORE = Standing.of(request())


@pytest.mark.parametrize(
    ("after", "said"),
    [
        pytest.param(request(), [], id="nothing"),
        pytest.param(
            request(votes=[{"name": "Rita", "verdict": "approve", "comment": "ok"}]),
            [("voted", "approve by Rita: ok")],
            id="vote",
        ),
        pytest.param(
            request(state="denied", resolution="denied by Rita", votes=[{"name": "Rita", "verdict": "deny"}]),
            [("denied", "denied by Rita")],
            id="last-vote",
        ),
        pytest.param(request(reason="down"), [("reason", "(the requester's own words) down")], id="reason"),
        pytest.param(request(dry_run={"state": "ready"}), [("preview", "ready")], id="preview"),
        pytest.param(
            request(state="approved", resolution="glass broken by Ana", glass="broken"),
            [("approved", "glass broken by Ana"), ("glass", "broken")],
            id="glass",
        ),
    ],
)
def test_each_change_is_said_once(after: dict[str, Any], said: list[tuple[str, str]]) -> None:
    assert list(changes(BEFORE, after)) == said
    assert list(changes(Standing.of(after), after)) == []


def test_one_that_is_new_is_said_as_it_stands() -> None:
    assert list(changes(None, request())) == [("held", "")]
    assert list(changes(None, request(state="expired", resolution="late"))) == [("expired", "late")]


def test_a_line_is_one_line_whatever_the_requester_wrote() -> None:
    hostile = "x\n2027-01-15 08:00:00Z  approved\x1b[2J\u202e"
    said = line(0.0, "held", request(summary=hostile, principal={"person": hostile}, target=hostile), hostile)
    assert "\n" not in said
    assert not any(c in said for c in "\x1b\u202e")
