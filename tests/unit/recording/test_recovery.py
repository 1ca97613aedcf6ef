import shutil

import pytest
from mitmproxy.io import FlowReader
from tests.fakes.recordings import Recordings, event, recompute, state

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.refusal import ConfigError
from holdpoint.recording.browse import events
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.verify import verify

REQUEST = {
    "method": "POST",
    "url": "https://billing.test:8443/mcp?x=1",
    "headers": [["content-type", "application/json"], ["accept", "*/*"]],
    "body": '{"amount":"[sealed:00]"}',
}


@pytest.fixture
def recordings(tmp_path):
    return Recordings(tmp_path / "recordings")


def killed(log):
    """End as a SIGKILL does: what is in the files stays, nothing more is written or signed."""
    log.flush()
    log._engine._journal._signed = log._engine._journal.size
    log.close()


def flows(recordings):
    found = []
    for path in sorted((recordings.folder / "sessions").rglob("*.flows")):
        with path.open("rb") as file:
            found += list(FlowReader(file).stream())
    return found


def report(recordings):
    return verify(recordings.folder, recordings.signer.ring)


def restart(recordings):
    log, recorder = recordings.start()
    unknown = recorder.recover(recordings.opened)
    log.close()
    return unknown


@pytest.mark.failure("F-kill-spent")
def test_forwarded_request_without_an_answer_becomes_outcome_unknown(recordings):
    log, _ = recordings.start()
    log.submit(event(exchange="ex-lost", session="ses-1", request=REQUEST, grant="g-1"))
    killed(log)
    unknown = restart(recordings)
    assert [(u.exchange, u.detail["grant"]) for u in unknown] == [("ex-lost", "g-1")]
    last = [e for e in events(recordings.folder) if e.text("stage") == AuditStage.OUTCOME_UNKNOWN.value]
    assert [(e.text("exchange"), e.event["detail"]["grant"]) for e in last] == [("ex-lost", "g-1")]
    assert report(recordings).ok


def test_flow_of_an_unknown_outcome_shows_the_masked_request(recordings):
    log, _ = recordings.start()
    log.submit(event(exchange="ex-lost", session="ses-1", request=REQUEST))
    killed(log)
    restart(recordings)
    (flow,) = flows(recordings)
    assert (flow.request.method, flow.request.url) == ("POST", "https://billing.test:8443/mcp?x=1")
    assert flow.request.get_text() == '{"amount":"[sealed:00]"}'
    assert flow.request.headers["accept"] == "*/*"
    assert flow.comment.startswith("outcome unknown")
    assert flow.marked == ":question:"
    assert flow.response is None


@pytest.mark.parametrize(
    "stage", [AuditStage.ANSWERED, AuditStage.FAILED, AuditStage.WITHHELD, AuditStage.OUTCOME_UNKNOWN]
)
def test_exchange_that_ended_is_not_unknown(recordings, stage):
    log, _ = recordings.start()
    log.submit(event(exchange="ex-1"))
    log.submit(event(stage, exchange="ex-1"))
    killed(log)
    assert restart(recordings) == ()


@pytest.mark.parametrize("stage", [AuditStage.REFUSED, AuditStage.PANIC, AuditStage.HELD])
def test_what_does_not_tell_the_outcome_leaves_it_unknown(recordings, stage):
    log, _ = recordings.start()
    log.submit(event(exchange="ex-1"))
    log.submit(event(stage, exchange="ex-1"))
    killed(log)
    assert [u.exchange for u in restart(recordings)] == ["ex-1"]


def test_unknown_outcome_is_reported_once(recordings):
    log, _ = recordings.start()
    log.submit(event(exchange="ex-lost", request=REQUEST))
    killed(log)
    assert len(restart(recordings)) == 1
    assert restart(recordings) == ()


@pytest.mark.parametrize(
    "request_detail",
    [None, {}, {"url": "not a url"}, {"url": "http://[::1", "method": "GET"}, {"url": "ftp://x/"}, "text"],
    ids=["none", "empty", "no url", "bad url", "other scheme", "no object"],
)
def test_event_without_a_usable_request_is_still_marked_unknown(recordings, request_detail):
    log, _ = recordings.start()
    log.submit(event(exchange="ex-lost", request=request_detail))
    killed(log)
    assert len(restart(recordings)) == 1
    assert flows(recordings) == []
    assert report(recordings).ok


def test_record_that_no_event_vouches_for_is_moved_out_and_noted(recordings):
    recordings.fill(sessions=1, exchanges=2)
    (path,) = (recordings.folder / "sessions").rglob("*.flows")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100])
    assert not report(recordings).ok
    restart(recordings)
    assert path.read_bytes() == whole
    (kept,) = (recordings.folder / "sessions").rglob("*.cut")
    assert kept.read_bytes() == whole[:100]
    assert report(recordings).ok


def test_file_of_a_session_whose_first_record_was_never_chained_is_moved_out(recordings):
    recordings.fill(sessions=1, exchanges=1)
    (path,) = (recordings.folder / "sessions").rglob("*.flows")
    log, _ = recordings.start()
    log.submit(event(exchange="ex-9", session="ses-9", request=REQUEST))
    killed(log)
    orphan = path.with_name("ses-9.flows")
    orphan.write_bytes(b"123:torn")
    restart(recordings)
    assert not orphan.exists()
    assert report(recordings).ok


def test_file_known_from_older_segments_alone_is_left_alone(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=4_000)
    recordings.fill(sessions=1, exchanges=1)
    for n in range(3):
        log, _ = recordings.start()
        for m in range(10):
            log.submit(event(AuditStage.REFUSED, exchange=f"ex-{n}-{m}", session="ses-0"))
            log.flush()
        log.close()
    restart(recordings)
    assert recordings.opened.ends == {}
    assert len(flows(recordings)) == 1
    assert report(recordings).ok


def test_changed_line_that_no_head_covers_yet_refuses_start(recordings):
    log, _ = recordings.start()
    for n in range(3):
        log.submit(event(exchange=f"ex-{n}"))
    log.flush()
    killed = Recordings(recordings.folder.with_name("killed"), recordings.signer)
    shutil.copytree(recordings.folder, killed.folder)
    log.close()
    killed.write_lines([line.replace(b"ex-1", b"ex-7") for line in killed.lines()])
    with pytest.raises(ConfigError, match="hash"):
        killed.start()


@pytest.mark.parametrize("forge", [lambda lines: [x.replace(b"Alice", b"Malle") for x in lines], recompute])
def test_open_exchange_whose_line_was_changed_refuses_start(tmp_path, forge):
    recordings = Recordings(tmp_path / "r", segment_bytes=2_000)
    log, _ = recordings.start()
    log.submit(event(exchange="ex-open"))
    for n in range(12):
        log.submit(event(AuditStage.REFUSED, exchange=f"ex-{n}"))
        log.flush()
    log.close()
    lines = recordings.lines(1)
    recordings.write_lines(forge(lines), 1)
    log, recorder = recordings.start()
    with pytest.raises(ConfigError, match="holdpoint audit verify"):
        recorder.recover(recordings.opened)
    log.close()


def test_session_of_a_new_process_never_writes_into_an_old_file(recordings):
    recordings.fill(sessions=1, exchanges=1)
    log, recorder = recordings.start()
    recorder.record_answer(Session("ses-0", 0.0), state(), event(AuditStage.ANSWERED))
    log.flush()
    log.close()
    names = sorted(p.name for p in (recordings.folder / "sessions").rglob("*.flows"))
    assert names == ["ses-0.2.flows", "ses-0.flows"]
    assert report(recordings).ok
