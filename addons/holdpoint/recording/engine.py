"""The writer thread: takes everything that waits, writes it, syncs once, tells all waiters.

Who waits is never kept waiting for a batch. What nobody waits for, a flow record and the event that vouches for it once
the record is durable, is synced a moment later, so that it stands in nobody's way and shares its syncs with others.
Between two syncs of the log one flow file is synced, so that a request waits for at most one sync that is not its own.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from math import inf
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
LINGER: Final = 0.02
"""Seconds for which a flow record may be written and not yet synced. A kill within them leaves `outcome unknown`."""
_MOST_STAGED: Final = 256

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
        self._due: float | None = None
        """Steady seconds at which what nobody waits for is synced. None: there is nothing of it."""
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
        patience = self._patience()
        try:
            jobs.append(self.queue.get(timeout=patience) if patience != 0 else self.queue.get_nowait())
            while len(jobs) < _BATCH:
                jobs.append(self.queue.get_nowait())
        except Empty:
            if not jobs and self._due is not None:
                self._due = -inf  # however the clock is set: so long nobody came
        return jobs

    def _patience(self) -> float | None:
        if self.problem:
            return self._probe
        if self._due is not None:
            return max(0.0, self._due - self._clock.monotonic())
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
        lines = [j for j in jobs if isinstance(j, LineJob)]
        flows = [j for j in jobs if isinstance(j, FlowJob)]
        is_due = self._is_due()
        if lines or is_due:
            lines, self._ready = [*self._ready, *lines], []
        try:
            self._write(lines)
            while flows:
                self._stage(flows[0])
                flows.pop(0)
            if self._staged and is_due:
                self._sync(next(iter(self._staged)))
        except (OSError, FileFault) as error:
            self._fail(error)
            self._unstage()
            self._hold(flows)
        self._due = self._next_due(was_due=is_due)

    def _is_due(self) -> bool:
        return self._due is not None and (
            self._clock.monotonic() >= self._due or sum(map(len, self._staged.values())) >= _MOST_STAGED
        )

    def _next_due(self, *, was_due: bool) -> float | None:
        if self._staged and was_due:
            return -inf  # one file at a time: whoever waits goes before the next
        if not self._staged and not self._ready:
            return None
        return self._clock.monotonic() + LINGER if was_due or self._due is None else self._due

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
        self._due = None

    def _sign(self) -> None:
        self._next_head = self._clock.monotonic() + self._checkpoint
        try:
            self._journal.checkpoint()
        except (OSError, FileFault) as error:
            self._fail(error)

    def _finish(self, flushes: list[FlushJob], *, stop: bool) -> None:
        while not self.problem and (self._ready or self._staged):
            self._due = -inf
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
