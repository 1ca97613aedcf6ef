"""Recordings are mitmproxy's own files: its programs open them, with our viewer and without."""

import subprocess
import urllib.request

import pytest
from mitmproxy.utils.emoji import emoji
from tests.fakes.processes import MITMDUMP, ROOT, Program, free_port
from tests.fakes.recordings import Recordings, event, state

from holdpoint.domain.audit import AuditStage
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.json_text import read

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"card":"[masked]"}}}'
VIEWER = ROOT / "addons" / "viewer.py"


@pytest.fixture
def recording(tmp_path):
    recordings = Recordings(tmp_path / "recordings")
    log, recorder = recordings.start()
    kept = state(body=CALL, outcome="refused", decision={"rules": ["billing/no-refunds"]}, principal={"name": "Alice"})
    recorder.record_answer(Session("ses-1", 0.0), kept, event(AuditStage.REFUSED))
    log.flush()
    log.close()
    return next((tmp_path / "recordings" / "sessions").rglob("*.flows"))


def mitmdump(tmp_path, *arguments):
    command = [str(MITMDUMP), "--set", f"confdir={tmp_path / 'conf'}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)  # our own


@pytest.mark.e2e
def test_mitmdump_without_any_addon_reads_and_filters_a_recording(tmp_path, recording):
    done = mitmdump(tmp_path, "-n", "-r", recording, "~comment no-refunds & ~marker no_entry")
    assert done.returncode == 0
    assert "POST http://address:22/mcp" in done.stdout
    assert "POST" not in mitmdump(tmp_path, "-n", "-r", recording, "~comment nothing-like-it").stdout


@pytest.mark.e2e
def test_mitmdump_with_the_viewer_shows_decision_and_call(tmp_path, recording):
    done = mitmdump(tmp_path, "-n", "-s", VIEWER, "--set", "flow_detail=4", "-r", recording)
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("# refused; by Alice", "rules billing/no-refunds", "tool: refund", '"card": "[masked]"'):
        assert text in done.stdout


@pytest.mark.e2e
@pytest.mark.threat("T06")
@pytest.mark.parametrize("arguments", [(), ("--mode", "socks5"), ("--set", "server=true")])
def test_viewer_never_proxies(tmp_path, arguments):
    done = mitmdump(tmp_path, "-s", VIEWER, "--listen-port", free_port(), *arguments)
    assert done.returncode == 1
    assert "start it with `-n`" in done.stdout + done.stderr
    assert "listening" not in done.stdout + done.stderr


@pytest.mark.e2e
def test_mitmweb_with_the_viewer_shows_comment_and_marker(tmp_path, recording):
    port = free_port()
    command = [str(MITMDUMP.with_name("mitmweb")), "-n", "-s", str(VIEWER), "-r", str(recording)]
    settings = [f"web_port={port}", "web_password=look", "web_open_browser=false", f"confdir={tmp_path / 'conf'}"]
    web = Program([*command, *(part for s in settings for part in ("--set", s))])
    try:
        web.wait_for("Web server listening")
        request = urllib.request.Request(  # loopback
            f"http://127.0.0.1:{port}/flows", headers={"authorization": "Bearer look"}
        )
        for _ in range(100):
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  # loopback
                shown = read(answer.read())
            if shown:
                break
    finally:
        web.stop()
    assert shown[0]["comment"].startswith("refused; by Alice")
    assert shown[0]["marked"] == emoji[":no_entry:"]
