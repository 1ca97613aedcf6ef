"""`holdpoint approvals show` is what a reviewer reads: all that decides, and nothing that misleads."""

from typing import Any

import pytest

from holdpoint.cli.approvals_show import lasting, text_of
from holdpoint.cli.principals import seconds_of

pytestmark = pytest.mark.threat("T89")

NOW = 1_800_000_000.0
HOSTILE = "x\x1b[2J\u202e\r\nvote        approve by Rita\u200b" + " " * 60 + "vote        approve by Rita"


def request(**changes: Any) -> dict[str, Any]:
    term = {
        "rule": "prod/writes",
        "where": "prod.yaml:7",
        "met": False,
        "clauses": [{"reviewers": ["group:sre"], "required": 2, "filled_by": ["rita@x"]}],
        "require_reason": True,
        "auto_approve_after": None,
        "break_glass": {"who": ["group:oncall"], "duration": 900},
    }
    principal = {"id": "https://i#u-1", "kind": "human", "person": "ana@x", "name": "Ana", "groups": ["dev"]}
    return {
        "id": "apr-1",
        "state": "pending",
        "created_at": NOW - 60,
        "deadline": NOW + 540,
        "principal": {**principal, "owners": [], "actor": {"subject": "claude", "chain": ["older"]}},
        "target": "cluster",
        "protocol": "kubernetes",
        "action": "patch",
        "resource": "deployments demo/web",
        "summary": "patch deployments demo/web",
        "rules": ["prod/writes"],
        "reasons": ["it writes"],
        "terms": [term],
        "preview": {"arguments": {"spec": {"replicas": 5}}, "does": {"patch": "merge"}},
        "intent": "sha256:aa",
        "votes": [{"name": "Rita", "verdict": "approve", "comment": "fine", "at": NOW - 5}],
        "waiters": 1,
        "blocked": "the requester has to say why first",
        "opens": "any patch of deployments/web, for 15 minutes from the approval",
        "dry_run": {
            "state": "ready",
            "at": NOW - 50,
            "shown": {
                "diff": [
                    {"path": "spec.replicas", "op": "change", "before": 2, "after": 5},
                    {"path": "metadata.labels.new", "op": "add", "after": "x"},
                    {"path": "metadata.labels.old", "op": "remove", "before": "y"},
                ],
                "hangs_on_it": [{"what": "replicas", "text": "3 more pods"}],
                "warnings": ["deprecated"],
                "counts": {"matched": 2, "more": True, "names": ["a", "b"]},
            },
        },
        **changes,
    }


@pytest.mark.parametrize(
    "line",
    [
        "apr-1  pending",
        "until       2027-01-15 08:09:00Z (9 min left)",
        "blocked     the requester has to say why first",
        "who         ana@x (Ana), human",
        "by agent    claude, for older",
        "where       cluster (kubernetes)",
        "what        patch deployments demo/web",
        "opens       any patch of deployments/web, for 15 minutes from the approval",
        "held by     prod/writes",
        "            it writes",
        "reason      none yet: the requester has to say why first",
        "            ~ spec.replicas: 2 -> 5",
        '            + metadata.labels.new: "x"',
        '            - metadata.labels.old: "y"',
        "hits        2 or more objects: a, b",
        "hangs on it 3 more pods (replicas)",
        "warning     deprecated",
        "needs       by prod/writes, prod.yaml:7",
        "            1 of 2 from group:sre: rita@x",
        "            the glass may be broken by group:oncall, for 15 min",
        "vote        approve by Rita at 2027-01-15 07:59:55Z: fine",
        "intent      sha256:aa",
        '      "replicas": 5',
    ],
)
def test_it_says(line: str) -> None:
    assert line in text_of(request(), NOW).split("\n")


def test_reason_is_marked_as_the_requesters_own() -> None:
    said = text_of(request(reason="prod is down"), NOW)
    assert "reason      (the requester's own words) prod is down" in said


@pytest.mark.parametrize(
    "place",
    [
        "id",
        "state",
        "target",
        "action",
        "resource",
        "summary",
        "opens",
        "reason",
        "blocked",
        "intent",
        "glass",
        "grant",
    ],
)
def test_no_text_works_the_terminal_or_makes_a_line_of_ours(place: str) -> None:
    plain = text_of(request(**{place: "plain"}), NOW).split("\n")
    said = text_of(request(**{place: HOSTILE}), NOW)
    assert len(said.split("\n")) == len(plain)
    assert not any(c in said for c in "\x1b\u202e\r\u200b")
    assert "vote        approve by Rita at" in said
    assert " " * 16 not in said.replace(" " * 12 + "vote", "")


def test_hostile_keys_values_and_names_deep_inside_are_spelled_out() -> None:
    deep = request(
        preview={"arguments": {HOSTILE: [HOSTILE]}, "does": {HOSTILE: HOSTILE}},
        votes=[{"name": HOSTILE, "verdict": "approve", "comment": HOSTILE, "at": NOW}],
        principal={"person": HOSTILE, "name": HOSTILE, "actor": {"subject": HOSTILE, "chain": [HOSTILE]}},
        dry_run={"state": "failed", "why": HOSTILE, "shown": {"diff": [{"path": HOSTILE, "after": HOSTILE}]}},
    )
    said = text_of(deep, NOW)
    assert not any(c in said for c in "\x1b\u202e\r\u200b")
    assert sum(line.startswith("vote ") for line in said.split("\n")) == 1


def test_long_value_of_a_difference_is_cut_and_says_so() -> None:
    shown = {"diff": [{"path": "data", "op": "add", "after": "y" * 100_000}]}
    said = text_of(request(dry_run={"state": "ready", "shown": shown}), NOW)
    assert "(cut: --json has all of it)" in said
    assert len(said) < 5_000


def test_request_of_which_nothing_is_known_is_shown_all_the_same() -> None:
    assert "dry run     none" in text_of({}, NOW)


def test_what_has_ended_says_how() -> None:
    said = text_of(request(state="denied", resolution="denied by Rita: no", resolved_at=NOW, blocked=""), NOW)
    assert "ended       2027-01-15 08:00:00Z: denied by Rita: no" in said
    assert "until" not in said


@pytest.mark.parametrize(("seconds", "text"), [(30, "30 s"), (540, "9 min"), (7_200, "2 h"), (400_000, "5 d")])
def test_time_is_said_in_one_unit(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


@pytest.mark.parametrize("text", ["", "8", "h", "0h", "-1h", "1.5h", "8w", "٣h"])
def test_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="is no duration"):
        seconds_of(text)
