import asyncio
import errno
import logging
import os
import shutil
from pathlib import Path

import pytest
from tests.fakes.recordings import Recordings, event, state

from holdpoint.domain.audit import AuditStage
from holdpoint.recording.browse import events
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.recording.verify import verify


@pytest.fixture
def recordings(tmp_path):
    return Recordings(tmp_path / "recordings")


class Disk:
    """The disk, of which one kind of file can be made to fail as the kernel would."""

    def __init__(self, monkeypatch):
        self.full = ""
        self.half = False
        self._write, self._sync = os.pwrite, os.fdatasync
        monkeypatch.setattr(os, "pwrite", self.write)
        monkeypatch.setattr(os, "fdatasync", self.sync)
        self.sync_fails = ""

    def write(self, fd, data, offset):
        if self.full and Path(f"/proc/self/fd/{fd}").readlink().suffix == self.full:
            if self.half:
                self._write(fd, bytes(data)[: len(data) // 2], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(fd, data, offset)

    def sync(self, fd):
        if self.sync_fails and Path(f"/proc/self/fd/{fd}").readlink().suffix == self.sync_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._sync(fd)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # a thread, not a task, makes it true
            await asyncio.sleep(0.005)


async def recovered(recordings, log):
    """Let the clock pass the probe interval until the log works again."""
    async with asyncio.timeout(10):
        while not log.healthy:
            recordings.clock.advance(recordings.probe)
            await asyncio.sleep(0.005)


def stages(recordings):
    return [e.text("stage") for e in events(recordings.folder)]


@pytest.mark.failure("F-disk-full")
@pytest.mark.parametrize("half", [False, True], ids=["nothing written", "half a line written"])
async def test_full_disk_fails_the_append_and_refuses_the_next(recordings, disk, half, caplog):
    log, _ = recordings.start()
    disk.full, disk.half = ".jsonl", half
    with pytest.raises(RecorderUnavailable, match="ENOSPC"):
        await log.append(event())
    assert not log.healthy
    with pytest.raises(RecorderUnavailable):
        log.append(event())
    assert "free some space" in caplog.text
    disk.full = ""
    log.close()


@pytest.mark.failure("F-disk-full")
async def test_log_recovers_by_itself_and_says_how_long_it_was_away(recordings, disk):
    log, _ = recordings.start()
    disk.full, disk.half = ".jsonl", True
    with pytest.raises(RecorderUnavailable):
        await log.append(event(exchange="ex-refused"))
    disk.full = ""
    await recovered(recordings, log)
    await log.append(event(exchange="ex-after"))
    log.close()
    found = list(events(recordings.folder))
    assert [e.text("stage") for e in found] == ["Recovered", "Forwarded"]
    assert "ENOSPC" in found[0].event["detail"]["outage"]["problem"]
    assert verify(recordings.folder, recordings.signer.ring).ok


@pytest.mark.failure("F-disk-full")
async def test_event_without_a_waiter_is_written_when_the_outage_ends(recordings, disk):
    log, _ = recordings.start()
    disk.full = ".jsonl"
    log.submit(event(AuditStage.REFUSED, exchange="ex-kept"))
    await until(lambda: not log.healthy)
    log.submit(event(AuditStage.REFUSED, exchange="ex-kept-too"))
    disk.full = ""
    await recovered(recordings, log)
    log.close()
    assert {e.text("exchange") for e in events(recordings.folder)} == {"", "ex-kept", "ex-kept-too"}


@pytest.mark.failure("F-disk-full")
@pytest.mark.parametrize("fault", ["write", "half", "sync"])
async def test_flow_record_that_could_not_be_written_is_written_later(recordings, disk, fault):
    log, recorder = recordings.start()
    session = Session("ses-1", 0.0)
    recorder.record_answer(session, state(body=b"first"), event(AuditStage.ANSWERED, "ex-1"))
    await asyncio.to_thread(log.flush)
    disk.full, disk.half = ("" if fault == "sync" else ".flows"), fault == "half"
    disk.sync_fails = ".flows" if fault == "sync" else ""
    recorder.record_answer(session, state(body=b"second"), event(AuditStage.ANSWERED, "ex-2"))
    await until(lambda: not log.healthy)
    with pytest.raises(RecorderUnavailable):
        log.append(event())
    disk.full = disk.sync_fails = ""
    await recovered(recordings, log)
    log.close()
    answered = [e for e in events(recordings.folder) if e.text("stage") == "Answered"]
    assert [e.text("exchange") for e in answered] == ["ex-1", "ex-2"]
    report = verify(recordings.folder, recordings.signer.ring)
    assert report.ok, [str(f) for f in report.findings]
    assert report.records == 2


@pytest.mark.failure("F-disk-full")
async def test_no_probe_ends_the_outage_while_flow_files_cannot_be_written(recordings, disk):
    log, recorder = recordings.start()
    disk.full = ".flows"
    recorder.record_answer(Session("ses-1", 0.0), state(), event(AuditStage.ANSWERED))
    await until(lambda: not log.healthy)
    for _ in range(5):
        recordings.clock.advance(recordings.probe)
        await asyncio.sleep(0.02)
        assert not log.healthy
    disk.full = ""
    log.close()
    assert stages(recordings).count("Recovered") <= 1


@pytest.mark.failure("F-records-replaced")
async def test_removed_log_is_noticed_at_the_next_event(recordings, caplog):
    log, _ = recordings.start()
    shutil.rmtree(recordings.folder)
    with pytest.raises(RecorderUnavailable, match="was removed"):
        await log.append(event())
    assert "bring the folder back" in caplog.text
    log.close()


@pytest.mark.failure("F-records-replaced")
async def test_log_that_somebody_else_wrote_to_is_noticed(recordings):
    log, _ = recordings.start()
    with (recordings.folder / "audit/000001.jsonl").open("ab") as file:
        file.write(b"extra\n")
    with pytest.raises(RecorderUnavailable, match="changed by somebody else"):
        await log.append(event())
    log.close()


async def test_flow_that_cannot_be_serialised_keeps_its_event_and_is_an_outage(recordings, caplog):
    log, recorder = recordings.start()
    recorder.record_answer(Session("ses-1", 0.0), {"bad": object()}, event(AuditStage.ANSWERED))
    await until(lambda: "could not be made" in caplog.text)
    await recovered(recordings, log)
    log.close()
    answered = [e for e in events(recordings.folder) if e.text("stage") == "Answered"]
    assert "serialised" in answered[0].event["detail"]["unrecorded"]
    assert "Recovered" in stages(recordings)
    recordings.start()[0].close()
    report = verify(recordings.folder, recordings.signer.ring)
    assert report.ok
    assert "ex-1" in report.notes[0]


async def test_stop_in_an_outage_says_what_was_lost(recordings, disk, caplog):
    log, _ = recordings.start()
    disk.full = ".jsonl"
    log.submit(event())
    await until(lambda: not log.healthy)
    with caplog.at_level(logging.ERROR):
        log.close()
    assert "1 events could not be written" in caplog.text


async def test_bug_in_the_writer_leaves_nobody_waiting(recordings, monkeypatch, caplog):
    log, _ = recordings.start()
    monkeypatch.setattr(log._engine._journal, "write", lambda _: 1 / 0)
    with pytest.raises(RecorderUnavailable):
        await log.append(event())
    with pytest.raises(RecorderUnavailable, match="ZeroDivisionError"):
        log.append(event())
    assert "restart the gateway" in caplog.text
    log.close()
