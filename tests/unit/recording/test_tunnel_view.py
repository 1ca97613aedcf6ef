import json

import pytest
from mitmproxy.contentviews import Metadata
from mitmproxy.test import tflow
from mitmproxy.websocket import WebSocketMessage

from holdpoint.recording.tunnel_view import TunnelContentview

FAILED = {"status": "Failure", "reason": "NonZeroExitCode", "message": "exit status 3"}
CAUSES = {"details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}


def about(data: bytes, metadata: dict | None = None) -> Metadata:
    flow = tflow.twebsocketflow()
    flow.metadata = {"holdpoint": {"tunnel": {}} if metadata is None else metadata}
    return Metadata(flow=flow, websocket_message=WebSocketMessage(2, from_client=False, content=data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"\x01out\n", "# stdout\nout\n", id="stdout"),
        pytest.param(b"\x02\x1b[31mno", "# stderr\n\\u{1b}[31mno", id="stderr, and nothing that a terminal obeys"),
        pytest.param(b'\x04{"Width":80,"Height":24}', "# resize\n80 columns, 24 rows\n", id="resize"),
        pytest.param(b'\x03{"status":"Success"}', "# error\nexit 0\n", id="success"),
        pytest.param(
            b"\x03" + json.dumps(FAILED | CAUSES).encode(), "# error\nexit 3: exit status 3\n", id="exit code"
        ),
        pytest.param(
            b'\x03{"status":"Failure","reason":"Forbidden","message":"the grant ended"}',
            "# error\nForbidden: the grant ended\n",
            id="ended by the gateway",
        ),
        pytest.param(b"\x03cannot", "# error\ncannot\n", id="no Status"),
        pytest.param(b"\xff\x00", "# end of stdin\n", id="end"),
        pytest.param(b"\x00hp1.x", "# stdin\n(5 bytes, sealed: `holdpoint sessions stdin`)\n", id="sealed"),
        pytest.param(b"\x01\xff", "# stdout\n�", id="binary"),
    ],
)
def test_a_message_reads_by_its_channel(data, text):
    assert TunnelContentview().prettify(data, about(data)) == text
    assert TunnelContentview().render_priority(data, about(data)) > 0


@pytest.mark.parametrize("data", [b"", b"\x09x", b"\xff\x09", b"\xff"])
def test_what_is_no_message_of_a_tunnel_is_left_to_others(data):
    with pytest.raises(ValueError, match=r"message|channel"):
        TunnelContentview().prettify(data, about(data))


def test_messages_of_other_websockets_are_left_alone():
    assert TunnelContentview().render_priority(b"\x01x", about(b"\x01x", {})) < 0
    assert TunnelContentview().render_priority(b"\x01x", Metadata(flow=about(b"").flow)) < 0
