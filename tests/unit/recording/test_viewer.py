import json

import pytest
from mitmproxy import contentviews, exceptions
from mitmproxy.contentviews import Metadata
from mitmproxy.test import taddons, tflow, tutils
from mitmproxy.utils.emoji import emoji

from holdpoint.recording.annotation import comment, marker
from holdpoint.recording.mcp_view import McpContentview
from holdpoint.recording.viewer import Viewer

DECIDED = {
    "outcome": "refused",
    "principal": {"name": "Alice"},
    "decision": {"effect": "deny", "rules": ["notes/no-drops"]},
    "action": "tools/call",
    "resource": "tool drop",
}


def rpc(**more):
    return json.dumps({"jsonrpc": "2.0", "id": 1, **more}).encode()


ENDED = {"kind": "denied", "public": "an operator ended this stream"}


@pytest.mark.parametrize(
    ("said", "line", "mark"),
    [
        pytest.param(
            {"outcome": "ended", "refusal": ENDED},
            "ended: an operator ended this stream; by Alice; exec pods/exec demo/web",
            ":stop_sign:",
            id="ended",
        ),
        pytest.param(
            {"outcome": "answered", "declined": "upgrade refused by the upstream (403)"},
            "answered; upgrade refused by the upstream (403); by Alice; exec pods/exec demo/web",
            ":white_check_mark:",
            id="upgrade refused",
        ),
        pytest.param(
            {"outcome": "withheld", "refusal": ENDED},
            "withheld; by Alice; exec pods/exec demo/web",
            ":see_no_evil:",
            id="withheld",
        ),
    ],
)
def test_end_of_a_stream_is_shown_for_what_it_was(said, line, mark):
    metadata = {"principal": {"name": "Alice"}, "action": "exec", "resource": "pods/exec demo/web", **said}
    assert (comment(metadata), marker(metadata)) == (line, mark)
    assert mark in emoji


def show(data, metadata=None):
    flow = tflow.tflow(req=tutils.treq(content=data))
    flow.metadata = {"holdpoint": metadata} if metadata else {}
    return McpContentview().prettify(data, Metadata(flow=flow))


def test_call_shows_decision_method_tool_and_arguments():
    text = show(rpc(method="tools/call", params={"name": "drop", "arguments": {"all": True}}), DECIDED)
    for line in ("# refused; by Alice", "notes/no-drops", "method: tools/call", "tool: drop", '"all": true'):
        assert line in text


def test_result_shows_text_and_json_in_text_written_out():
    content = [{"type": "text", "text": "plain"}, {"type": "text", "text": '{"user":"[masked]"}'}]
    text = show(rpc(result={"content": content, "structuredContent": {"x": 1}}))
    for line in ("answer to: 1", "  plain", '  "user": "[masked]"', '"x": 1'):
        assert line in text


def test_failed_tool_and_error_are_told_apart():
    assert "tool failed: true" in show(rpc(result={"content": [], "isError": True}))
    assert '"code": -1' in show(rpc(error={"code": -1, "message": "no"}))


def test_every_event_of_a_stream_is_shown():
    stream = b"".join(b"event: message\ndata: %b\n\n" % rpc(method=m) for m in ("a", "b"))
    assert show(stream).count("---") == 1


def test_text_that_turns_the_reading_direction_is_made_visible():
    text = show(rpc(result={"content": [{"type": "text", "text": "safe\u202eevil\x1b[31m"}]}))
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "\\u{202e}" in text


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"[1]", b'"jsonrpc"', b"not json", b'{"jsonrpc"', b"data: x\n\n", b'["jsonrpc"]', b"\xff"],
)
def test_what_is_no_mcp_is_left_to_other_views(data):
    assert McpContentview().render_priority(data, Metadata()) < 0
    with pytest.raises(ValueError):
        McpContentview().prettify(data, Metadata())


@pytest.mark.parametrize("odd", [{"params": 1}, {"params": {"name": 3, "arguments": "x"}}, {"method": 4}])
def test_odd_messages_are_still_shown(odd):
    assert "id: 1" in show(rpc(**{"method": "tools/call", **odd}))


def test_view_is_chosen_for_mcp_and_only_for_mcp():
    with taddons.context() as context:
        context.options.server = False
        context.master.addons.add(Viewer())
        chosen = {}
        for name, data in (("mcp", rpc(method="ping")), ("json", b'{"a":1}')):
            flow = tflow.tflow(req=tutils.treq(content=data, headers=((b"content-type", b"application/json"),)))
            chosen[name] = contentviews.prettify_message(flow.request, flow).view_name
    assert chosen == {"mcp": "MCP", "json": "JSON"}


def test_comment_and_marker_come_from_the_record_whatever_a_later_hand_wrote():
    flow = tflow.tflow()
    flow.metadata = {"holdpoint": DECIDED}
    flow.comment, flow.marked = "all fine", ":white_check_mark:"
    Viewer().requestheaders(flow)
    assert flow.comment.startswith("refused; by Alice")
    assert flow.marked == ":no_entry:"


def test_flow_of_somebody_else_keeps_its_comment():
    flow = tflow.tflow()
    flow.comment = "mine"
    Viewer().requestheaders(flow)
    assert flow.comment == "mine"


def test_proxy_cannot_be_turned_on_later():
    viewer = Viewer()
    with taddons.context() as context:
        context.options.server = False
        context.master.addons.add(viewer)
        with pytest.raises(exceptions.OptionsError, match="start it with `-n`"):
            context.configure(viewer, server=True)
        assert context.options.server is False


def test_viewer_ends_a_process_that_proxies():
    with taddons.context() as context, pytest.raises(SystemExit):
        context.master.addons.add(Viewer())
