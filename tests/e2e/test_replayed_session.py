"""A session recorded from a real MCP server, given again by a real mitmdump to the same client."""

import subprocess

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mitmproxy.io import FlowReader
from tests.fakes.notes_server import NotesServer
from tests.fakes.processes import MITMDUMP, Program, free_port
from tests.fakes.recordings import Recordings, event

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.mask import KeyMask, MaskProfile
from holdpoint.masking.masker import compile_masks
from holdpoint.protocols import strict_json
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.replay import replay_command
from holdpoint.recording.scrub import Bodies, flow_state

TOKEN = "upstream-token"
PASSWORD = "a-password-nobody-records"


async def run_client(url, mode):
    """Do what a client does, and return everything it saw."""
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        seen = [sorted(t.name for t in (await client.list_tools()).tools)]
        for name, arguments in (
            ("list_notes", {}),
            ("write_note", {"name": "first", "text": PASSWORD}),
            ("list_notes", {}),
            ("read_note", {"name": "welcome"}),
            ("read_note", {"name": "nowhere"}),
        ):
            answer = await client.call_tool(name, arguments)
            seen.append((answer.is_error, [c.text for c in answer.content]))
        return seen


def record(folder, raw):
    """Make a recording of what plain mitmdump saw: masked, scrubbed, in a session file."""
    masker = compile_masks([MaskProfile("test", keys=(KeyMask("text"),))], key=b"0" * 32)
    recordings = Recordings(folder)
    log, recorder = recordings.start()
    session = Session("ses-1", recordings.clock.now())
    with raw.open("rb") as file:
        for n, flow in enumerate(FlowReader(file).stream()):
            body = flow.request.content or b""
            sealed = strict_json.dumps(masker.sealed(strict_json.loads(body))) if body else b""
            answer = flow.response.content if flow.response else None
            state = flow_state(flow.get_state(), Bodies(sealed, answer), {"exchange": f"ex-{n}"})
            recorder.record_answer(session, state, event(AuditStage.ANSWERED, f"ex-{n}", session.id))
    log.flush()
    log.close()
    return next((folder / "sessions").rglob("*.flows"))


@pytest.mark.e2e
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("json_response", [False, True], ids=["events", "json"])
async def test_same_client_is_answered_again_from_the_masked_recording(tmp_path, mode, json_response):
    raw, port, replay_port = tmp_path / "raw.flows", free_port(), free_port()
    confdir = f"confdir={tmp_path / 'conf'}"
    with NotesServer(token=TOKEN, json_response=json_response) as server:
        command = [str(MITMDUMP), "--mode", f"reverse:http://127.0.0.1:{server.port}@127.0.0.1:{port}"]
        proxy = Program([*command, "--set", confdir, "-w", str(raw)])
        try:
            proxy.wait_for("listening")
            before = await run_client(f"http://127.0.0.1:{port}/mcp", mode)
        finally:
            proxy.stop()
    assert before[2] == (False, ["wrote first"])
    file = record(tmp_path / "recordings", raw)
    assert PASSWORD.encode() not in file.read_bytes()
    assert TOKEN.encode() not in file.read_bytes()
    replay = Program(replay_command([file], port=replay_port, mitmdump=str(MITMDUMP), confdir=tmp_path / "conf"))
    try:
        replay.wait_for("listening")
        again = await run_client(f"http://127.0.0.1:{replay_port}/some/route", mode)
    finally:
        replay.stop()
    assert again == before


@pytest.mark.e2e
@pytest.mark.parametrize("content", [b"", b"nothing"], ids=["empty", "no flows"])
def test_replay_of_no_recording_does_not_start(tmp_path, content):
    file = tmp_path / "x.flows"
    file.write_bytes(content)
    command = replay_command([file], port=free_port(), mitmdump=str(MITMDUMP), confdir=tmp_path / "conf")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # our own command
    assert done.returncode == 1
