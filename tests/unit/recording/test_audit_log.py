import asyncio
import os
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from tests.fakes.recordings import LocalSigner, Recordings, event, recompute, state

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.refusal import ConfigError, GatewayFault
from holdpoint.recording.chain import EVENT, read_line
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.recording.json_text import read
from holdpoint.recording.segments import segment_numbers


@pytest.fixture
def recordings(tmp_path):
    return Recordings(tmp_path / "recordings")


def events(recordings):
    found = []
    for number in segment_numbers(recordings.folder):
        parsed = [read_line(raw.rstrip(b"\n")) for raw in recordings.lines(number)]
        found += [read(line.body) for line in parsed if line.kind == EVENT]
    return found


def stages(recordings):
    return [e["stage"] for e in events(recordings)]


async def test_appended_event_is_on_disk_when_its_future_is_done(recordings):
    log, _ = recordings.start()
    receipt = await log.append(event(exchange="ex-7"))
    last = read_line(recordings.lines()[-1].rstrip(b"\n"))
    log.close()
    assert (last.seq, last.hash.hex()) == (receipt.seq, receipt.hash)
    assert read(last.body)["exchange"] == "ex-7"


async def test_event_is_synced_before_its_future_is_done(recordings, monkeypatch):
    log, _ = recordings.start()
    waiting, synced = [], []
    real = os.fdatasync

    def sync(fd):
        synced.append(waiting[0].done() if waiting else None)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    waiting.append(log.append(event()))
    await waiting[0]
    log.close()
    assert synced[0] is False


async def test_events_that_come_together_are_written_together(recordings, monkeypatch):
    log, _ = recordings.start()
    syncs = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (syncs.append(fd), real(fd)))
    receipts = await asyncio.gather(*(log.append(event(exchange=f"ex-{i}")) for i in range(200)))
    log.close()
    assert [r.seq for r in receipts] == list(range(receipts[0].seq, receipts[0].seq + 200))
    assert len(syncs) < 20


async def test_cancelled_waiter_harms_nobody(recordings):
    log, _ = recordings.start()
    first, second = log.append(event(exchange="ex-1")), log.append(event(exchange="ex-2"))
    first.cancel()
    await second
    log.close()
    assert [e["exchange"] for e in events(recordings)] == ["ex-1", "ex-2"]


def test_files_and_folders_are_for_their_owner_alone(recordings):
    recordings.fill()
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in [recordings.folder, *recordings.folder.rglob("*")]}
    assert {m for p, m in modes.items() if p.is_dir()} == {0o700}
    assert {m for p, m in modes.items() if p.is_file()} == {0o600}


def test_clean_stop_leaves_no_unsigned_tail(recordings):
    recordings.fill()
    size = len(recordings.lines())
    heads = (recordings.folder / "audit/000001.heads").read_bytes().splitlines()
    assert read(heads[-1])["head"]["size"] == size


async def test_head_is_signed_when_the_interval_is_over(recordings):
    log, _ = recordings.start()
    heads = recordings.folder / "audit/000001.heads"
    before = len(heads.read_bytes().splitlines())
    await log.append(event())
    recordings.clock.advance(recordings.checkpoint)
    await log.append(event())
    await asyncio.to_thread(log.flush)
    await log.append(event())
    after = len(heads.read_bytes().splitlines())
    log.close()
    assert after > before


def test_log_goes_on_over_a_restart(recordings):
    recordings.fill()
    first = len(recordings.lines())
    recordings.fill()
    lines = [read_line(raw.rstrip(b"\n")) for raw in recordings.lines()]
    assert [line.seq for line in lines] == list(range(len(lines)))
    assert lines[first].prev == lines[first - 1].hash


def test_log_goes_on_over_segments_and_restarts(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=3_000)
    for _ in range(3):
        recordings.fill()
    numbers = segment_numbers(recordings.folder)
    lines = [read_line(raw.rstrip(b"\n")) for n in numbers for raw in recordings.lines(n)]
    assert len(numbers) > 3
    assert [line.seq for line in lines] == list(range(len(lines)))
    assert all(b.prev == a.hash for a, b in pairwise(lines))


def test_exchange_open_since_an_earlier_segment_is_found_at_start(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=3_000)
    log, _ = recordings.start()
    log.submit(event(exchange="ex-open", session="ses-9"))
    for n in range(30):
        log.submit(event(AuditStage.REFUSED, exchange=f"ex-{n}"))
        log.flush()
    log.close()
    log, recorder = recordings.start()
    unknown = recorder.recover(recordings.opened)
    log.close()
    assert len(segment_numbers(recordings.folder)) > 3
    assert [u.exchange for u in unknown] == ["ex-open"]
    assert recordings.start()[0].close() is None
    assert recordings.opened.open == {}


@pytest.mark.failure("F-torn-log")
def test_torn_last_line_is_cut_off_and_noted(recordings):
    recordings.fill()
    lines = recordings.lines()
    torn = b'{"event":{"stage":"Forwarded","at":1'
    recordings.write_lines([*lines, torn])
    log, _ = recordings.start()
    log.close()
    assert recordings.lines()[: len(lines)] == lines
    note = read(read_line(recordings.lines()[len(lines)].rstrip(b"\n")).body)
    assert note["stage"] == "Recovered"
    assert note["detail"]["cut"]["length"] == len(torn)


@pytest.mark.failure("F-torn-log")
def test_tail_of_zeros_after_a_power_loss_is_cut_off(recordings):
    recordings.fill()
    lines = recordings.lines()
    recordings.write_lines([*lines, b"\0" * 512])
    log, _ = recordings.start()
    log.close()
    assert recordings.opened.torn.length == 512


def edit(lines):
    lines[3] = lines[3].replace(b"Alice", b"Malle")


def swap(lines):
    lines[2], lines[3] = lines[3], lines[2]


def remove(lines):
    del lines[3]


def truncate(lines):
    del lines[-1]


@pytest.mark.failure("F-broken-chain")
@pytest.mark.parametrize("tamper", [edit, swap, remove, truncate])
def test_broken_chain_refuses_start_and_changes_nothing(recordings, tamper):
    recordings.fill()
    lines = recordings.lines()
    tamper(lines)
    recordings.write_lines(lines)
    with pytest.raises(ConfigError, match="holdpoint audit verify"):
        recordings.start()
    assert recordings.lines() == lines


@pytest.mark.failure("F-broken-chain")
def test_chain_recomputed_without_the_key_refuses_start(recordings):
    recordings.fill()
    recordings.write_lines(recompute(recordings.lines()))
    with pytest.raises(ConfigError, match="not those that were signed"):
        recordings.start()


def test_segment_whose_header_was_recomputed_refuses_start(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=2_500)
    recordings.fill()
    last = segment_numbers(recordings.folder)[-1]
    recordings.write_lines(recompute(recordings.lines(last)), last)
    with pytest.raises(ConfigError):
        recordings.start()


def test_log_of_another_gateway_refuses_start(recordings):
    recordings.fill()
    forged = Recordings(recordings.folder.with_name("forged"), signer=LocalSigner())
    forged.fill()
    recordings.write_lines(forged.lines())
    with pytest.raises(ConfigError):
        recordings.start()


def test_head_signed_by_another_key_refuses_start(recordings):
    recordings.fill()
    recordings.signer = LocalSigner()
    with pytest.raises(ConfigError, match="signature of key `k1` is wrong"):
        recordings.start()


def test_head_of_a_key_that_left_the_ring_refuses_start_and_says_what_to_do(recordings):
    recordings.fill()
    recordings.signer = LocalSigner("k2")
    with pytest.raises(ConfigError, match=r"keys\.audit"):
        recordings.start()


def test_log_without_any_head_refuses_start_from_the_second_segment_on(tmp_path):
    recordings = Recordings(tmp_path / "r", segment_bytes=2_000)
    recordings.fill()
    for number in segment_numbers(recordings.folder)[1:]:
        (recordings.folder / "audit" / f"{number:06d}.heads").write_bytes(b"")
    (recordings.folder / "audit" / "000001.jsonl").unlink()
    with pytest.raises(ConfigError):
        recordings.start()


@pytest.mark.failure("F-second-gateway")
def test_second_gateway_on_the_same_folder_refuses_start(recordings):
    log, _ = recordings.start()
    with pytest.raises(ConfigError, match="another gateway"):
        recordings.start()
    log.close()


def test_flow_files_without_an_audit_log_refuse_start(recordings):
    recordings.fill()
    for path in (recordings.folder / "audit").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="no audit log"):
        recordings.start()


async def test_nothing_is_taken_before_start_and_after_close(recordings):
    log = recordings.log()
    with pytest.raises(RecorderUnavailable):
        log.append(event())
    log.start()
    log.close()
    log.close()
    with pytest.raises(RecorderUnavailable):
        log.append(event())
    assert not log.healthy


async def test_event_that_json_cannot_hold_is_refused_to_its_caller_alone(recordings):
    log, _ = recordings.start()
    with pytest.raises(GatewayFault):
        log.append(event(bad=float("nan")))
    await log.append(event())
    assert log.healthy
    log.close()


def test_answer_names_the_bytes_of_its_flow_record(recordings):
    recordings.fill(sessions=1, exchanges=2)
    answered = [e for e in events(recordings) if e["stage"] == "Answered"]
    first, second = (e["detail"]["record"] for e in answered)
    assert first["file"] == second["file"]
    assert second["offset"] == first["length"]
    assert (recordings.folder / first["file"]).stat().st_size == first["length"] + second["length"]


async def test_answer_is_chained_after_its_record_is_synced(recordings, monkeypatch):
    log, recorder = recordings.start()
    await log.append(event())
    order = []
    real_write, real_sync = os.pwrite, os.fdatasync

    def name(fd):
        return Path(f"/proc/self/fd/{fd}").readlink().suffix

    monkeypatch.setattr(os, "pwrite", lambda fd, *a: (order.append(("write", name(fd))), real_write(fd, *a))[1])
    monkeypatch.setattr(os, "fdatasync", lambda fd: (order.append(("sync", name(fd))), real_sync(fd))[1])
    recorder.record_answer(Session("ses-1", 0.0), state(), event(AuditStage.ANSWERED))
    await asyncio.to_thread(log.flush)
    log.close()
    assert order[:4] == [("write", ".flows"), ("sync", ".flows"), ("write", ".jsonl"), ("sync", ".jsonl")]
