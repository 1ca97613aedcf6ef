"""The audit log as the gateway sees it: an event in, an awaitable out that is done once the event is on disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from pathlib import Path
from typing import Final

from holdpoint.clock import Clock
from holdpoint.domain.audit import AuditEvent
from holdpoint.domain.values import JsonObject
from holdpoint.recording.chain import Receipt
from holdpoint.recording.engine import Engine
from holdpoint.recording.flowfiles import FlowFiles, Session
from holdpoint.recording.heads import KeyRing, Signer
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.recording.jobs import FlowJob, FlushJob, LineJob, StopJob, make_entry
from holdpoint.recording.journal import SEGMENT_BYTES, Journal, Opened

PROBE: Final = 1.0


class AuditLog:
    """The hash-chained log and the thread that writes it. Start it once, close it once."""

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        clock: Clock,
        *,
        ring: KeyRing,
        checkpoint: float = 10.0,
        segment_bytes: int = SEGMENT_BYTES,
        probe: float = PROBE,
    ) -> None:
        """Take note of where and how; nothing is opened before `start`.

        `checkpoint` and `probe` are seconds: between signed heads while lines come in, and between tries in an outage.
        """
        self.folder = folder
        self._journal = Journal(folder, signer, ring, clock, segment_bytes=segment_bytes)
        self._engine = Engine(self._journal, FlowFiles(folder, clock), clock, checkpoint=checkpoint, probe=probe)
        self._state = "the audit log is not started"

    @property
    def problem(self) -> str:
        """Why nothing can be written, for the operator. Empty while healthy."""
        return self._state or self._engine.problem

    @property
    def healthy(self) -> bool:
        """Whether events can be written. False refuses new requests."""
        return not (self._state or self._engine.problem)

    @property
    def size(self) -> int:
        """Lines in the log."""
        return self._journal.size

    @property
    def open_exchanges(self) -> int:
        """Exchanges forwarded and not ended."""
        return self._journal.open_exchanges

    def start(self) -> Opened:
        """Check the end of the log, mend a torn one, sign a head, start the thread. Raises ConfigError. Blocks."""
        opened = self._journal.start()
        notes: list[JsonObject] = []
        if (cut := opened.torn) is not None:
            where: JsonObject = {"file": cut.file, "offset": cut.offset, "length": cut.length, "digest": cut.digest}
            notes.append({"cut": where})
        if opened.unsigned:
            notes.append({"unsigned": opened.unsigned})
        if notes:
            self._journal.write([self._engine.note(n) for n in notes])
        self._journal.checkpoint(force=True)
        self._engine.thread.start()
        self._state = ""
        return opened

    def append(self, event: AuditEvent) -> asyncio.Future[Receipt]:
        """Write an event. The future is done once it is durable, and fails with RecorderUnavailable where it is not.

        Raises RecorderUnavailable at once while unhealthy, GatewayFault on an event that JSON cannot hold.
        """
        if problem := self.problem:
            raise RecorderUnavailable(problem)
        waiter = asyncio.get_running_loop().create_future()
        self._engine.queue.put(LineJob(make_entry(event), waiter))
        return waiter

    def submit(self, event: AuditEvent) -> None:
        """Write an event that nobody waits for. It is kept through an outage, and written when that ends.

        Raises RecorderUnavailable before the start and after the end, GatewayFault on an event that JSON cannot hold.
        """
        self._check_running()
        self._engine.queue.put(LineJob(make_entry(event)))

    def submit_flow(self, session: Session, serialise: Callable[[], bytes], event: AuditEvent) -> None:
        """Write a flow record, then the event that vouches for it. `serialise` runs in the writer thread."""
        self._check_running()
        self._engine.queue.put(FlowJob(session, serialise, event))

    def flush(self, timeout: float | None = 60.0) -> None:
        """Block until everything before is durable. Raises RecorderUnavailable, TimeoutError. Not on an event loop."""
        self._check_running()
        done: ThreadFuture[None] = ThreadFuture()
        self._engine.queue.put(FlushJob(done))
        done.result(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, sign a last head, end the thread. Blocks for as long as the disk needs. Idempotent."""
        if self._state:
            return
        self._state = "the audit log is closed"
        self._engine.queue.put(StopJob())
        self._engine.thread.join(timeout)

    def _check_running(self) -> None:
        if self._state:
            raise RecorderUnavailable(self._state)
