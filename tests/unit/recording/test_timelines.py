"""Looking at recordings from afar: by page, within a budget, and past what is broken."""

import time
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.recordings import Recordings, event

from holdpoint.domain.audit import AuditStage
from holdpoint.ids import made_at, new_id
from holdpoint.recording import timelines
from holdpoint.recording.timelines import Page, Search, Timeline

pytestmark = pytest.mark.threat("T90")


def never() -> bool:
    return False


def find(folder: Path, *, limit: int = 50, **search: Any) -> Page:
    return timelines.find(folder, Search(**search), limit=limit, stop=never)


def show(folder: Path, session: str, **options: Any) -> Timeline:
    return timelines.show(folder, session, stop=never, **options)


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    made = Recordings(tmp_path / "r")
    made.fill(sessions=3, exchanges=4)
    return made


def write(recordings: Recordings, *events: Any) -> None:
    log, _ = recordings.start()
    for each in events:
        log.submit(each)
    log.flush()
    log.close()


def test_an_id_says_when_it_was_made() -> None:
    before = time.time()
    assert before - 0.01 <= made_at(new_id("ses")) <= time.time()
    assert [made_at(name) for name in ("", "ses-0", "ses-" + "u" * 26, "ses-" + "é" * 26)] == [0.0] * 4


def test_sessions_are_listed_newest_first_with_what_happened(recordings: Recordings) -> None:
    page = find(recordings.folder)
    assert [(s.id, s.requests, s.refused) for s in page.sessions] == [(f"ses-{n}", 4, 0) for n in (2, 1, 0)]
    assert (page.more, page.reading.whole, page.reading.broken) == (False, True, 0)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        pytest.param({"principal": "Alice"}, 3, id="name"),
        pytest.param({"principal": "https://idp#alice"}, 3, id="account"),
        pytest.param({"principal": "Ali"}, 0, id="part of a name"),
        pytest.param({"target": "billing"}, 3, id="target"),
        pytest.param({"target": "bill"}, 0, id="part of a target"),
        pytest.param({"since": 1_900_000_000.0}, 0, id="later"),
        pytest.param({"until": 1_700_000_000.0}, 0, id="earlier"),
        pytest.param({"since": 1_700_000_000.0, "until": 1_900_000_000.0}, 3, id="meanwhile"),
        pytest.param({"before": "ses-1"}, 1, id="next page"),
    ],
)
def test_sessions_are_searched(recordings: Recordings, search: dict[str, Any], found: int) -> None:
    assert len(find(recordings.folder, **search).sessions) == found


def test_pages_of_sessions_meet_without_a_gap(recordings: Recordings) -> None:
    first = find(recordings.folder, limit=2)
    second = find(recordings.folder, limit=2, before=first.sessions[-1].id)
    assert [s.id for s in (*first.sessions, *second.sessions)] == ["ses-2", "ses-1", "ses-0"]
    assert (first.more, second.more) == (True, False)


def test_a_session_is_shown_by_page(recordings: Recordings) -> None:
    found = show(recordings.folder, "ses-1", start=1, limit=2)
    assert [(e.id, e.outcome) for e in found.exchanges] == [("ex-1-1", "answered"), ("ex-1-2", "answered")]
    assert (found.total, len(found.files), found.session.requests) == (4, 1, 4)


@pytest.mark.parametrize("name", ["ses-9", "", "ses-", "ses-1\n", '","x":"', "../ses-1"])
def test_what_is_no_session_is_none(recordings: Recordings, name: str) -> None:
    with pytest.raises(KeyError):
        show(recordings.folder, name)


def test_approvals_are_shown_with_who_gave_them(recordings: Recordings) -> None:
    vote = {"verdict": "approve", "person": "rita@corp.example", "at": 1.0}
    write(
        recordings,
        event(AuditStage.HELD, "ex-h", approval="apr-1"),
        event(AuditStage.VOTED, "ex-h", approval="apr-1", vote=vote),
        event(AuditStage.VOTED, "ex-o", approval="apr-2", vote=vote | {"person": "other@corp.example"}),
        event(
            AuditStage.RESOLVED, "ex-h", approval="apr-1", vote=vote, state="approved", resolution="approved by Rita"
        ),
        event(AuditStage.FORWARDED, "ex-h", "ses-h", approval="apr-1"),
        event(AuditStage.ANSWERED, "ex-h", "ses-h", masked=3),
        event(AuditStage.REFUSED, "ex-r", "ses-h", refusal={"public": "held", "approval": "apr-3"}),
    )
    found = show(recordings.folder, "ses-h")
    sent, refused = found.exchanges
    assert (sent.approval, sent.masked, sent.outcome) == ("apr-1", 3, "answered")
    assert (refused.approval, refused.refusal) == ("apr-3", "held")
    assert list(found.approvals) == ["apr-1"]
    assert [*found.approvals["apr-1"].votes] == [("rita@corp.example", "approve")]
    assert found.approvals["apr-1"].resolution == "approved by Rita"


def test_a_tool_call_and_its_requests_are_linked_both_ways(recordings: Recordings) -> None:
    write(
        recordings,
        event(AuditStage.FORWARDED, "ex-call", "ses-mcp"),
        event(AuditStage.FORWARDED, "ex-k1", "ses-kube", call="ex-call"),
        event(AuditStage.ANSWERED, "ex-k1", "ses-kube", call="ex-call"),
        event(AuditStage.ANSWERED, "ex-call", "ses-mcp", requests=["ex-k1"]),
    )
    mcp, kube = show(recordings.folder, "ses-mcp"), show(recordings.folder, "ses-kube")
    assert [(r.session, r.exchange.id, r.exchange.outcome) for r in mcp.requests["ex-call"]] == [
        ("ses-kube", "ex-k1", "answered")
    ]
    assert (kube.calls["ex-call"].session, kube.calls["ex-call"].exchange.outcome) == ("ses-mcp", "answered")


def test_the_session_of_a_request_is_found(recordings: Recordings) -> None:
    write(recordings, event(AuditStage.HELD, "ex-waits", approval="apr-1"))
    found = {n: timelines.session_of(recordings.folder, n, stop=never) for n in ("ex-1-2", "ex-waits", "ex-1", "")}
    assert found == {"ex-1-2": "ses-1", "ex-waits": "", "ex-1": "", "": ""}
    assert show(recordings.folder, "ses-1", mark="ex-1-2").place == 2


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"not json at all\n", id="no JSON"),
        pytest.param(b'{"event":{"at":"soon","session":"ses-1"}}\n', id="another type"),
        pytest.param(b'{"event":{"session":"\xff\xfe"}}\n', id="no UTF-8"),
        pytest.param(b"\x00" * 4_096 + b"\n", id="zeros"),
        pytest.param(b"\n", id="empty"),
    ],
)
def test_a_broken_line_is_counted_and_hides_nothing(recordings: Recordings, damage: bytes) -> None:
    lines = recordings.lines()
    recordings.write_lines([*lines[:5], damage, *lines[5:]])
    page = find(recordings.folder)
    assert (len(page.sessions), page.reading.broken) == (3, 1)
    found = show(recordings.folder, "ses-1")
    assert (found.total, found.reading.broken) == (4, 1)


def test_a_torn_last_line_is_not_broken(recordings: Recordings) -> None:
    lines = recordings.lines()
    recordings.write_lines([*lines, lines[-1][:40]])
    assert find(recordings.folder).reading.broken == 0


def test_files_that_cannot_be_read_hide_nothing(recordings: Recordings) -> None:
    (recordings.folder / "audit" / "000000.jsonl").mkdir()
    page = find(recordings.folder)
    assert (len(page.sessions), page.reading.broken) == (3, 1)
    assert show(recordings.folder, "ses-1").reading.broken == 1


def test_a_folder_without_recordings_has_no_sessions(tmp_path: Path) -> None:
    assert find(tmp_path).sessions == ()


def test_many_segments_are_read_as_far_as_the_budget_reaches(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path / "r", segment_bytes=2_000)
    recordings.fill(sessions=6, exchanges=3)
    whole = find(recordings.folder)
    part = timelines.find(recordings.folder, Search(), limit=50, stop=never, budget=6_000)
    assert len(whole.sessions) == 6
    assert 0 < len(part.sessions) < 6
    assert (part.sessions[0].id, part.reading.whole) == ("ses-5", False)
    assert timelines.show(recordings.folder, "ses-0", stop=never, budget=6_000).reading.whole is False


def test_a_look_that_takes_too_long_ends_and_says_so(recordings: Recordings) -> None:
    asked: list[None] = []

    def at_once() -> bool:
        asked.append(None)
        return True

    page = timelines.find(recordings.folder, Search(), limit=50, stop=at_once)
    assert (page.sessions, page.reading.whole, len(asked)) == ((), False, 1)


def test_a_huge_session_is_one_page(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path / "r", segment_bytes=32 << 20)
    body = {"body": "x" * 300}
    pairs = ((AuditStage.FORWARDED, n) if half else (AuditStage.ANSWERED, n) for n in range(5_000) for half in (1, 0))
    write(recordings, *(event(stage, f"ex-{n}", "ses-huge", request=body) for stage, n in pairs))
    asked: list[None] = []

    def counted() -> bool:
        asked.append(None)
        return False

    found = timelines.show(recordings.folder, "ses-huge", start=4_900, limit=200, stop=counted)
    assert (found.total, len(found.exchanges), found.exchanges[0].id) == (5_000, 100, "ex-4900")
    assert len(asked) > 2 * 10_000 // 64  # the event loop gets its turn that often
    assert find(recordings.folder).sessions[0].requests == 5_000


def test_more_exchanges_than_are_kept_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "MOST_EXCHANGES", 3)
    monkeypatch.setattr(timelines, "MOST_SESSIONS", 2)
    recordings = Recordings(tmp_path / "r")
    recordings.fill(sessions=3, exchanges=4)
    found = show(recordings.folder, "ses-1")
    assert (found.total, found.reading.whole) == (3, False)
    page = find(recordings.folder)
    assert (len(page.sessions), page.reading.whole) == (2, False)
