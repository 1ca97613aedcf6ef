import itertools

import pytest
from tests.fakes.recordings import Recordings

from holdpoint.recording.browse import export, list_sessions, session_flows, show_session
from holdpoint.recording.json_text import read
from holdpoint.recording.sessions import Sessions


@pytest.fixture
def sessions():
    numbers = itertools.count(1)
    return Sessions(900.0, make_id=lambda prefix: f"{prefix}-{next(numbers)}")


@pytest.mark.parametrize(
    ("second", "same"),
    [
        pytest.param(("p", "t", "s", 10.0), True, id="same"),
        pytest.param(("q", "t", "s", 10.0), False, id="other principal"),
        pytest.param(("p", "u", "s", 10.0), False, id="other target"),
        pytest.param(("p", "t", "r", 10.0), False, id="other protocol session"),
        pytest.param(("p", "t", "s", 900.0), True, id="just not idle"),
        pytest.param(("p", "t", "s", 900.1), False, id="idle"),
        pytest.param(("p", "t", "s", -1_000.0), False, id="clock set back"),
    ],
)
def test_session_is_one_principal_on_one_target_until_idle(sessions, second, same):
    first = sessions.session_for("p", "t", "s", 0.0)
    assert (sessions.session_for(*second) == first) is same


def test_every_request_keeps_a_session_going(sessions):
    ids = {sessions.session_for("p", "t", "", n * 800.0).id for n in range(5)}
    assert ids == {"ses-1"}


def test_idle_sessions_are_forgotten(sessions):
    for n in range(100):
        sessions.session_for(f"p{n}", "t", "", n * 1_000.0)
    assert len(sessions) == 1


@pytest.fixture
def recordings(tmp_path):
    made = Recordings(tmp_path / "r")
    made.fill(sessions=2, exchanges=3)
    return made


def test_sessions_are_listed_with_who_and_where(recordings):
    found = list_sessions(recordings.folder)
    assert {s.id for s in found} == {"ses-0", "ses-1"}
    assert {(s.target, s.principal["name"]) for s in found} == {("billing", "Alice")}


@pytest.mark.parametrize(
    ("wanted", "count"),
    [({"principal": "Alice"}, 2), ({"principal": "Bob"}, 0), ({"target": "x"}, 0), ({"since": 1_900_000_000.0}, 0)],
    ids=["name", "other name", "other target", "later"],
)
def test_sessions_are_filtered(recordings, wanted, count):
    assert len(list_sessions(recordings.folder, **wanted)) == count


def test_session_shows_its_exchanges_and_their_flows(recordings):
    session = show_session(recordings.folder, "ses-1")
    assert [(e.id, e.outcome) for e in session.exchanges] == [(f"ex-1-{n}", "answered") for n in range(3)]
    assert [f.request.get_text() for f in session_flows(recordings.folder, session)] == ["ex-1-0", "ex-1-1", "ex-1-2"]


def test_unknown_session_is_an_error(recordings):
    with pytest.raises(KeyError):
        show_session(recordings.folder, "ses-9")


def test_export_writes_every_event_as_a_line_of_json(recordings, tmp_path):
    with (tmp_path / "out").open("wb") as out:
        count = export(recordings.folder, out)
    lines = [read(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert count == len(lines) == 12
    assert [line["seq"] for line in lines] == list(range(1, 13))
    assert lines[0]["stage"] == "Forwarded"
