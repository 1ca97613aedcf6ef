"""Recordings that tests make for real: real keys, real files, real flows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from mitmproxy.test import tflow, tutils

from holdpoint.clock import Clock, ManualClock
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.chain import read_line, write_line
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.journal import Opened
from holdpoint.recording.scrub import Bodies, FlowState, flow_state
from holdpoint.recording.writer import Recorder


@dataclass(frozen=True)
class LocalSigner:
    """A signer that holds its private key."""

    key_id: str = "k1"
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def sign(self, data: bytes, /) -> bytes:
        return self.private.sign(data)

    @property
    def ring(self) -> dict[str, Ed25519PublicKey]:
        return {self.key_id: self.private.public_key()}


@dataclass
class Recordings:
    """A folder of recordings that can be opened again and again, as by one process after another."""

    folder: Path
    signer: LocalSigner = field(default_factory=LocalSigner)
    clock: Clock = field(default_factory=ManualClock)
    segment_bytes: int = 1 << 20
    probe: float = 0.01
    checkpoint: float = 10.0
    opened: Opened | None = None

    def log(self) -> AuditLog:
        return AuditLog(
            self.folder,
            self.signer,
            self.clock,
            ring=self.signer.ring,
            segment_bytes=self.segment_bytes,
            probe=self.probe,
            checkpoint=self.checkpoint,
        )

    def start(self) -> tuple[AuditLog, Recorder]:
        log = self.log()
        self.opened = log.start()
        return log, Recorder(log, self.clock)

    def fill(self, sessions: int = 2, exchanges: int = 3) -> None:
        """Run a gateway's life: exchanges forwarded and answered in every session, then a clean stop."""
        log, recorder = self.start()
        for s in range(sessions):
            session = Session(f"ses-{s}", self.clock.now())
            for e in range(exchanges):
                name = f"ex-{s}-{e}"
                log.submit(event(AuditStage.FORWARDED, name, session.id))
                log.flush()
                recorder.record_answer(session, state(body=name.encode()), event(AuditStage.ANSWERED, name, session.id))
        log.flush()
        log.close()

    def lines(self, number: int = 1) -> list[bytes]:
        return (self.folder / "audit" / f"{number:06d}.jsonl").read_bytes().splitlines(keepends=True)

    def write_lines(self, lines: Sequence[bytes], number: int = 1) -> None:
        (self.folder / "audit" / f"{number:06d}.jsonl").write_bytes(b"".join(lines))


def event(stage: AuditStage = AuditStage.FORWARDED, exchange: str = "ex-1", session: str = "", **detail) -> AuditEvent:
    return AuditEvent(
        stage,
        at=1_800_000_000.0,
        exchange=exchange,
        session=session,
        principal={"id": "https://idp#alice", "name": "Alice"},
        target="billing",
        action="tools/call",
        resource="tool refund",
        detail=detail,
    )


def state(body: bytes = b"{}", answer: bytes = b"{}", **metadata) -> FlowState:
    flow = tflow.tflow(req=tutils.treq(method=b"POST", path=b"/mcp", content=body), resp=tutils.tresp(content=answer))
    return flow_state(flow.get_state(), Bodies(body, answer), {"exchange": "ex-1", "outcome": "answered", **metadata})


def recompute(lines):
    """Rebuild the whole chain over other events, as somebody without the key can."""
    parsed = [read_line(line.rstrip(b"\n")) for line in lines]
    prev, made = parsed[0].prev, []
    for seq, line in enumerate(parsed):
        written, prev = write_line(line.kind, line.body.replace(b"Alice", b"Malle"), prev, seq)
        made.append(written + b"\n")
    return made
