"""The writer thread: takes everything that waits, writes it, syncs once, tells all waiters. It never waits for a batch.

Between two syncs of the log it syncs one flow file, so that a request waits for at most one sync that is not its own.
The event that vouches for a flow record is chained once the record is durable.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final

from holdpoint.clock import Clock
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.values import JsonObject
from holdpoint.recording.durable import FileFault
from holdpoint.recording.flowfiles import FlowFiles
from holdpoint.recording.health import RecorderUnavailable, advice
from holdpoint.recording.jobs import FlowJob, FlushJob, Job, LineJob, StopJob, make_entry, settle
from holdpoint.recording.journal import Entry, Journal

logger = logging.getLogger(__name__)
KEPT: Final = 10_000
"""Jobs without a waiter that are kept through an outage. What is dropped beyond that is counted in the log."""
_BATCH: Final = 512

type Failure = OSError | FileFault


class Engine:
    """The thread and all that only the thread may touch."""

    def __init__(self, journal: Journal, flows: FlowFiles, clock: Clock, *, checkpoint: float, probe: float) -> None:
        self.queue: SimpleQueue[Job] = SimpleQueue()
        self.problem = ""
        """Why nothing can be written. Read from any thread."""
        self._journal = journal
        self._flows = flows
        self._clock = clock
        self._checkpoint = checkpoint
        self._probe = probe
        self._next_head = clock.monotonic() + checkpoint
        self._since = 0.0
        self._tried = 0.0
        self._dropped = 0
        self._kept: list[LineJob | FlowJob] = []
        self._staged: OrderedDict[str, list[tuple[FlowJob, LineJob]]] = OrderedDict()
        """Records written and not yet synced, with the events that will vouch for them, by session."""
        self._ready: list[LineJob] = []
        """Events whose records are durable."""
        self.thread = threading.Thread(target=self._run, name="holdpoint-audit", daemon=True)

    def note(self, detail: JsonObject) -> Entry:
        """Make an event about the log itself."""
        return make_entry(AuditEvent(AuditStage.RECOVERED, at=self._clock.now(), detail=detail))

    def _run(self) -> None:
        jobs: list[Job] = []
        try:
            while not any(isinstance(j, StopJob) for j in jobs):
                jobs = self._take()
                self._turn(jobs)
        except Exception as error:
            logger.exception("the audit writer failed, everything is refused: restart the gateway")
            self.problem = f"the audit writer failed ({type(error).__name__})"
            self._refuse_all(jobs)
        finally:
            self._flows.close()
            self._journal.close()

    def _take(self) -> list[Job]:
        jobs: list[Job] = []
        busy = not self.problem and bool(self._ready or self._staged)
        try:
            jobs.append(self.queue.get_nowait() if busy else self.queue.get(timeout=self._patience()))
            while len(jobs) < _BATCH:
                jobs.append(self.queue.get_nowait())
        except Empty:
            pass
        return jobs

    def _patience(self) -> float | None:
        if self.problem:
            return self._probe
        return max(0.0, self._next_head - self._clock.monotonic()) if self._journal.unsigned else None

    def _turn(self, jobs: list[Job]) -> None:
        flushes = [j for j in jobs if isinstance(j, FlushJob)]
        stop = any(isinstance(j, StopJob) for j in jobs)
        if self.problem:
            self._hold([j for j in jobs if isinstance(j, LineJob | FlowJob)])
            if stop or flushes or self._clock.monotonic() - self._tried >= self._probe:
                self._recover()
        else:
            self._work([j for j in jobs if isinstance(j, LineJob | FlowJob)])
        if stop or flushes:
            self._finish(flushes, stop=stop)
        elif not self.problem and self._clock.monotonic() >= self._next_head:
            self._sign()

    def _work(self, jobs: list[LineJob | FlowJob]) -> None:
        lines, self._ready = self._ready, []
        lines += [j for j in jobs if isinstance(j, LineJob)]
        flows = [j for j in jobs if isinstance(j, FlowJob)]
        try:
            self._write(lines)
            while flows:
                self._stage(flows[0])
                flows.pop(0)
            if self._staged:
                self._sync(next(iter(self._staged)))
        except (OSError, FileFault) as error:
            self._fail(error)
            self._unstage()
            self._hold(flows)

    def _write(self, lines: list[LineJob]) -> None:
        if not lines:
            return
        try:
            receipts = self._journal.write([line.entry for line in lines])
        except (OSError, FileFault) as error:
            self._fail(error)
            self._hold(lines)
            raise
        settle(zip(lines, receipts, strict=True))

    def _stage(self, flow: FlowJob) -> None:
        try:
            record = flow.serialise()
        except Exception as error:
            # NOTE: the event is worth keeping without its record, and says so.
            logger.exception("a flow record could not be made")
            problem = f"a flow record cannot be serialised ({type(error).__name__})"
            self._ready.append(LineJob(make_entry(flow.event, {"unrecorded": problem})))
            self._start_outage(problem)
            return
        receipt = self._flows.write(flow.session, record)
        try:
            entry = make_entry(flow.event, {"record": receipt.as_json()})
        except GatewayFault:
            logger.exception("an event with a flow record could not be made")
            bare = AuditEvent(flow.event.stage, at=flow.event.at, exchange=flow.event.exchange)
            entry = make_entry(bare, {"record": receipt.as_json()})
        self._staged.setdefault(flow.session.id, []).append((flow, LineJob(entry)))

    def _sync(self, session: str) -> None:
        self._flows.sync(session)
        self._ready += [line for _, line in self._staged.pop(session)]
        self._flows.trim(frozenset(self._staged))

    def _unstage(self) -> None:
        """Take back every record that is not durable: it is written again, into a next part."""
        while self._staged:
            session, jobs = self._staged.popitem(last=False)
            self._hold([flow for flow, _ in jobs])
            self._flows.abandon(session)

    def _start_outage(self, problem: str) -> None:
        if not self.problem:
            self._since = self._tried = self._clock.monotonic()
        self.problem = problem

    def _fail(self, error: Failure) -> None:
        problem, what_to_do = advice(error)
        if problem != self.problem:
            logger.error("recording failed, new requests are refused: %s: %s", problem, what_to_do)
        self._start_outage(problem)

    def _hold(self, jobs: Sequence[LineJob | FlowJob]) -> None:
        """Refuse those who wait, keep the rest for later."""
        refused: list[tuple[LineJob, Exception]] = []
        for job in jobs:
            if isinstance(job, LineJob) and job.waiter is not None:
                refused.append((job, RecorderUnavailable(self.problem)))
            elif len(self._kept) < KEPT:
                self._kept.append(job)
            else:
                self._dropped += 1
        settle(refused)

    def _recover(self) -> None:
        """Probe: write what was kept, and that there was an outage. Only where all of it succeeds is it over."""
        kept, self._kept = self._kept, []
        lines = [j for j in kept if isinstance(j, LineJob)]
        flows = [j for j in kept if isinstance(j, FlowJob)]
        seconds = round(self._clock.monotonic() - self._since, 3)
        note = self.note({"outage": {"problem": self.problem, "seconds": seconds, "dropped": self._dropped}})
        self._tried = self._clock.monotonic()
        try:
            while flows:
                self._stage(flows[0])
                flows.pop(0)
            while self._staged:
                self._sync(next(iter(self._staged)))
            self._journal.write([note, *(line.entry for line in lines), *(line.entry for line in self._ready)])
        except (OSError, FileFault) as error:
            self._fail(error)
            self._unstage()
            self._hold([*lines, *flows])
            return
        logger.info("recording works again after %s s: %s", seconds, self.problem)
        self._ready, self._dropped, self.problem = [], 0, ""

    def _sign(self) -> None:
        self._next_head = self._clock.monotonic() + self._checkpoint
        try:
            self._journal.checkpoint()
        except (OSError, FileFault) as error:
            self._fail(error)

    def _finish(self, flushes: list[FlushJob], *, stop: bool) -> None:
        while not self.problem and (self._ready or self._staged):
            self._work([])
        if stop and not self.problem:
            self._sign()
        if stop and (lost := len(self._kept) + self._dropped):
            logger.error("%d events could not be written before the end: %s", lost, self.problem)
        for flush in flushes:
            if self.problem:
                flush.done.set_exception(RecorderUnavailable(self.problem))
            else:
                flush.done.set_result(None)

    def _refuse_all(self, jobs: list[Job]) -> None:
        """Leave nobody waiting, until told to stop."""
        while True:
            for job in jobs:
                if isinstance(job, StopJob):
                    return
                if isinstance(job, FlushJob) and not job.done.done():
                    job.done.set_exception(RecorderUnavailable(self.problem))
                elif isinstance(job, LineJob | FlowJob):
                    self._hold([job])
            jobs = [self.queue.get()]
