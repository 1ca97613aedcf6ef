import json

import pytest
from tests.fakes.recordings import LocalSigner, Recordings, event, recompute

from holdpoint.domain.audit import AuditStage
from holdpoint.recording.heads import check
from holdpoint.recording.json_text import read
from holdpoint.recording.report import Problem
from holdpoint.recording.segments import segment_numbers
from holdpoint.recording.verify import verify


@pytest.fixture
def recordings(tmp_path):
    made = Recordings(tmp_path / "recordings")
    made.fill(sessions=2, exchanges=3)
    return made


def report(recordings, **more):
    return verify(recordings.folder, recordings.signer.ring, **more)


def problems(recordings, **more):
    return [f.problem for f in report(recordings, **more).findings]


def flow_files(recordings):
    return sorted((recordings.folder / "sessions").rglob("*.flows"))


def test_untouched_recordings_are_whole(recordings):
    found = report(recordings)
    assert found.ok, [str(f) for f in found.findings]
    assert (found.events, found.lines, found.records, found.flow_files, found.unsigned_tail) == (12, 13, 6, 2, 0)


def test_empty_folder_is_not_whole(tmp_path):
    assert [f.problem for f in verify(tmp_path, {}).findings] == [Problem.NO_LOG]


def test_recordings_over_many_segments_and_restarts_are_whole(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=2_500)
    for _ in range(3):
        recordings.fill()
    found = report(recordings)
    assert found.ok, [str(f) for f in found.findings]
    assert found.segments > 4


def edit_text(lines):
    lines[3] = lines[3].replace(b"Alice", b"Malle")


def edit_hash(lines):
    lines[3] = lines[3].replace(b'"hash":"', b'"hash":"0', 1)


def edit_seq(lines):
    lines[3] = lines[3].replace(b'"seq":3', b'"seq":33')


def not_json(lines):
    lines[3] = b"nothing to see here\n"


def add_space(lines):
    lines[3] = lines[3].replace(b'{"event"', b'{ "event"')


def remove(lines):
    del lines[3]


def repeat(lines):
    lines.insert(4, lines[3])


def swap(lines):
    lines[3], lines[4] = lines[4], lines[3]


@pytest.mark.threat("T08")
@pytest.mark.parametrize(
    ("tamper", "problem", "line"),
    [
        pytest.param(edit_text, Problem.EDITED_LINE, 4, id="edited text"),
        pytest.param(edit_hash, Problem.EDITED_LINE, 4, id="edited hash"),
        pytest.param(edit_seq, Problem.BROKEN_CHAIN, 4, id="edited number"),
        pytest.param(not_json, Problem.EDITED_LINE, 4, id="replaced line"),
        pytest.param(add_space, Problem.EDITED_LINE, 4, id="other spelling"),
        pytest.param(remove, Problem.BROKEN_CHAIN, 4, id="removed line"),
        pytest.param(repeat, Problem.BROKEN_CHAIN, 5, id="repeated line"),
        pytest.param(swap, Problem.BROKEN_CHAIN, 4, id="swapped lines"),
    ],
)
def test_changed_line_is_found_where_it_stands(recordings, tamper, problem, line):
    lines = recordings.lines()
    tamper(lines)
    recordings.write_lines(lines)
    first = report(recordings).findings[0]
    assert (first.problem, first.file, first.line) == (problem, "audit/000001.jsonl", line)


@pytest.mark.threat("T08")
def test_chain_recomputed_without_the_key_is_found(recordings):
    recordings.write_lines(recompute(recordings.lines()))
    assert Problem.REWRITTEN in problems(recordings)


@pytest.mark.threat("T08")
def test_chain_and_heads_recomputed_with_another_key_are_found(recordings, tmp_path):
    forged = Recordings(tmp_path / "forged", signer=LocalSigner())
    forged.fill(sessions=2, exchanges=3)
    assert problems(Recordings(forged.folder, signer=recordings.signer))[0] is Problem.BAD_HEAD


@pytest.mark.threat("T08")
def test_chain_recomputed_with_all_heads_removed_is_found(recordings):
    recordings.write_lines(recompute(recordings.lines()))
    (recordings.folder / "audit/000001.heads").unlink()
    assert Problem.UNSIGNED in problems(recordings)


@pytest.mark.threat("T08")
def test_log_cut_behind_a_signed_head_is_found(recordings):
    recordings.write_lines(recordings.lines()[:-2])
    found = report(recordings).findings
    assert found[0].problem is Problem.TRUNCATED
    assert "2 lines" in found[0].message


@pytest.mark.threat("T08")
def test_log_and_heads_rolled_back_together_are_found_by_an_anchor(recordings):
    heads = recordings.folder / "audit/000001.heads"
    old_lines, old_heads = recordings.lines(), heads.read_bytes()
    sessions = {p: p.read_bytes() for p in flow_files(recordings)}
    recordings.fill(sessions=1, exchanges=1)
    anchor = report(recordings).last_head
    recordings.write_lines(old_lines)
    heads.write_bytes(old_heads)
    for path in flow_files(recordings):
        if path not in sessions:
            path.unlink()
    assert report(recordings).ok
    assert problems(recordings, anchor=anchor) == [Problem.TRUNCATED]


@pytest.mark.threat("T08")
def test_missing_segment_is_found(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=2_000)
    recordings.fill()
    middle = segment_numbers(recordings.folder)[1]
    (recordings.folder / "audit" / f"{middle:06d}.jsonl").unlink()
    assert Problem.MISSING_SEGMENT in problems(recordings)


def test_archived_segments_are_no_problem_when_the_auditor_says_so(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=2_000)
    recordings.fill()
    for suffix in ("jsonl", "heads"):
        (recordings.folder / "audit" / f"000001.{suffix}").unlink()
    found = report(recordings, first_segment=2)
    assert {f.problem for f in found.findings} <= {Problem.UNVOUCHED_FLOW}
    assert Problem.MISSING_SEGMENT in problems(recordings)


@pytest.mark.threat("T08")
def test_edited_head_is_found(recordings):
    heads = recordings.folder / "audit/000001.heads"
    lines = heads.read_bytes().splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b'"size":13', b'"size":12')
    heads.write_bytes(b"".join(lines))
    first = report(recordings).findings[0]
    assert (first.problem, first.file, first.line) == (Problem.BAD_HEAD, "audit/000001.heads", len(lines))


def test_head_of_an_unknown_key_asks_for_the_key(recordings):
    found = verify(recordings.folder, {}).findings
    assert found[0].problem is Problem.UNKNOWN_KEY


def test_head_that_says_more_than_was_signed_is_refused(recordings):
    line = (recordings.folder / "audit/000001.heads").read_bytes().splitlines()[0]
    value = read(line)
    value["head"]["extra"] = 1
    with pytest.raises(ValueError, match="more than what is signed"):
        check(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), recordings.signer.ring)


@pytest.mark.threat("T08")
def test_edited_flow_is_found_by_file_and_offset(recordings):
    path = flow_files(recordings)[0]
    path.write_bytes(path.read_bytes().replace(b"ex-0-1", b"forged"))
    second = len(path.read_bytes()) // 3
    found = [f for f in report(recordings).findings if f.problem is Problem.EDITED_FLOW]
    assert found[0].file == path.relative_to(recordings.folder).as_posix()
    assert [f.offset for f in found] == [second]


@pytest.mark.threat("T08")
def test_one_changed_byte_of_a_flow_is_found(recordings):
    path = flow_files(recordings)[1]
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    assert problems(recordings) == [Problem.EDITED_FLOW]


@pytest.mark.threat("T08")
def test_missing_flow_file_is_found(recordings):
    flow_files(recordings)[0].unlink()
    assert problems(recordings) == [Problem.MISSING_FLOWS]


@pytest.mark.threat("T08")
def test_truncated_flow_file_is_found(recordings):
    path = flow_files(recordings)[0]
    path.write_bytes(path.read_bytes()[:-10])
    assert problems(recordings) == [Problem.MISSING_FLOWS]


@pytest.mark.threat("T08")
def test_appended_flow_record_is_found(recordings):
    path = flow_files(recordings)[0]
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + flow_files(recordings)[1].read_bytes())
    found = report(recordings).findings
    assert [(f.problem, f.offset) for f in found] == [(Problem.UNVOUCHED_FLOW, size)]


@pytest.mark.threat("T08")
def test_flow_file_that_no_event_names_is_found(recordings):
    path = flow_files(recordings)[0]
    path.with_name("ses-forged.flows").write_bytes(path.read_bytes())
    assert problems(recordings) == [Problem.UNVOUCHED_FLOW]


@pytest.mark.threat("T08")
def test_flow_file_replaced_by_a_link_is_found(recordings, tmp_path):
    path = flow_files(recordings)[0]
    elsewhere = tmp_path / "elsewhere.flows"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert problems(recordings) == [Problem.MISSING_FLOWS]


def test_long_unsigned_tail_is_found(recordings):
    log, _ = recordings.start()
    for n in range(3):
        late = event(AuditStage.REFUSED)
        log.submit(type(late)(late.stage, at=late.at + n * 100.0))
    log.close()
    heads = recordings.folder / "audit/000001.heads"
    heads.write_bytes(b"".join(heads.read_bytes().splitlines(keepends=True)[:-1]))
    assert problems(recordings) == [Problem.UNSIGNED]


def test_tail_behind_the_last_head_is_counted(recordings):
    log, _ = recordings.start()
    log.submit(event())
    log.flush()
    assert report(recordings).unsigned_tail == 1
    log.close()
    assert report(recordings).unsigned_tail == 0
