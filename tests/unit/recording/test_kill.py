import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes.recordings import LocalSigner, Recordings

from holdpoint.clock import SystemClock
from holdpoint.recording.browse import events
from holdpoint.recording.verify import verify

SCRIPT = """
import asyncio, itertools, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pathlib import Path
from tests.fakes.recordings import LocalSigner, Recordings, event, state
from holdpoint.clock import SystemClock
from holdpoint.domain.audit import AuditStage
from holdpoint.recording.flowfiles import Session

async def client(log, recorder, who):
    for n in itertools.count():
        name = f"ex-{sys.argv[3]}-{who}-{n}"
        await log.append(event(exchange=name, session=f"ses-{sys.argv[3]}-{who}",
            request={"method": "POST", "url": "http://x/mcp", "headers": [], "body": "{}"}))
        print(name, flush=True)
        session = Session(f"ses-{sys.argv[3]}-{who}", 0.0)
        recorder.record_answer(session, state(body=b"x" * 2000), event(AuditStage.ANSWERED, name, session.id))

async def main():
    signer = LocalSigner("k1", Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2])))
    recordings = Recordings(Path(sys.argv[1]), signer, SystemClock(), segment_bytes=200_000, checkpoint=0.05)
    log, recorder = recordings.start()
    await asyncio.to_thread(recorder.recover, recordings.opened)
    await asyncio.gather(*(client(log, recorder, who) for who in range(4)))

asyncio.run(main())
"""


def run_and_kill(recordings, turn, lines):
    key = recordings.signer.private.private_bytes_raw().hex()
    root = Path(__file__).parents[3]
    environ = {**os.environ, "PYTHONPATH": f"{root / 'addons'}:{root}", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", SCRIPT, str(recordings.folder), key, str(turn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True) as process:  # our own script
        acknowledged = [process.stdout.readline().strip() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    return acknowledged


@pytest.mark.e2e
@pytest.mark.failure("F-kill")
def test_kills_lose_no_acknowledged_event_and_leave_a_log_that_verifies(tmp_path):
    recordings = Recordings(tmp_path / "r", LocalSigner(), SystemClock())
    acknowledged = []
    for turn, lines in enumerate((1, 150, 700)):
        acknowledged += run_and_kill(recordings, turn, lines)
    log, recorder = recordings.start()
    unknown = recorder.recover(recordings.opened)
    log.close()
    logged = [(e.text("stage"), e.text("exchange")) for e in events(recordings.folder)]
    forwarded = [x for s, x in logged if s == "Forwarded"]
    ended = [x for s, x in logged if s in ("Answered", "OutcomeUnknown")]
    assert set(acknowledged) <= set(forwarded)
    assert sorted(forwarded) == sorted(ended)
    assert {u.exchange for u in unknown} <= set(forwarded)
    report = verify(recordings.folder, recordings.signer.ring)
    assert report.ok, json.dumps([str(f) for f in report.findings], indent=1)
    assert report.segments > 1
