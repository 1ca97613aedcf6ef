"""What a client of MCP is told while it waits. The SDK's own types read it."""

import json

import mcp_types
import pytest
from mcp_types import ElicitRequestURLParams, InputRequiredResult, ProgressNotification

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.protocols import mcp_holds
from holdpoint.protocols.mcp_refusals import META_KEY, refusal
from holdpoint.protocols.sse import Parser

LINK = "https://review.example/requests/apr-1"
DATA = mcp_holds.held_data("ex-1", "apr-1", LINK)


def test_a_state_alone_asks_nothing_of_the_user() -> None:
    result = mcp_holds.come_back("sealed", DATA)
    assert result == {"resultType": "input_required", "requestState": "sealed", "_meta": {META_KEY: DATA}}
    assert InputRequiredResult.model_validate(result).input_requests is None


def test_a_link_is_shown_by_an_elicitation_without_the_id_that_the_version_took_out() -> None:
    result = InputRequiredResult.model_validate(mcp_holds.come_back("sealed", DATA, link=LINK))
    assert result.request_state == "sealed"
    assert result.input_requests is not None
    asked = result.input_requests[mcp_holds.ASKED].params
    assert isinstance(asked, ElicitRequestURLParams)
    assert (asked.url, asked.elicitation_id) == (LINK, None)
    assert "apr-1" in asked.message


def test_url_elicitation_required_names_the_url_and_the_ticket() -> None:
    error = mcp_holds.look_there("apr-1", LINK, DATA)
    assert error["code"] == mcp_types.URL_ELICITATION_REQUIRED
    data = error["data"]
    assert isinstance(data, dict)
    assert data["ticket"] == "apr-1"
    (asked,) = data["elicitations"]  # type: ignore[misc]
    shown = ElicitRequestURLParams.model_validate(asked)
    assert (shown.mode, shown.url, shown.elicitation_id) == ("url", LINK, "apr-1")


@pytest.mark.parametrize(
    ("capabilities", "takes"),
    [
        pytest.param({"elicitation": {"url": {}}}, True, id="url"),
        pytest.param({"elicitation": {"form": {}, "url": {}}}, True, id="both"),
        pytest.param({"elicitation": {}}, False, id="nothing said means forms"),
        pytest.param({"elicitation": {"form": {}}}, False, id="forms"),
        pytest.param({"elicitation": {"url": True}}, False, id="not an object"),
        pytest.param({"elicitation": []}, False, id="no elicitation object"),
        pytest.param({"url": {}}, False, id="elsewhere"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_a_client_takes_a_url_only_where_it_says_so(capabilities: JsonObject, takes: bool) -> None:
    assert mcp_holds.takes_url(capabilities) is takes


@pytest.mark.parametrize(
    ("responses", "said"),
    [
        pytest.param({"approval": {"action": "accept"}}, "accept", id="accept"),
        pytest.param({"approval": {"action": "decline"}}, "decline", id="decline"),
        pytest.param({"approval": {"action": "cancel", "content": {}}}, "cancel", id="cancel"),
        pytest.param({"approval": {"action": "ACCEPT"}}, None, id="another spelling"),
        pytest.param({"approval": "accept"}, None, id="no object"),
        pytest.param({"other": {"action": "accept"}}, None, id="another question"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_only_a_clear_choice_counts(responses: JsonObject, said: str | None) -> None:
    assert mcp_holds.choice(responses) == said


def test_progress_grows_and_stays_below_what_an_upstream_reports() -> None:
    parser = Parser()
    seen: list[float] = []
    for step in range(1, 50):
        (event,) = parser.feed(mcp_holds.progress("t", step))
        said = ProgressNotification.model_validate(json.loads(event.data or ""))
        assert said.params.progress_token == "t"
        seen.append(said.params.progress)
    assert seen == sorted(set(seen))
    assert seen[-1] < 0


def test_a_keepalive_is_a_comment() -> None:
    (event,) = Parser().feed(mcp_holds.KEEPALIVE)
    assert event.data is None
    assert event.comments


def test_what_belongs_to_a_round_gives_way_to_what_the_call_carried() -> None:
    params: JsonObject = {"name": "t", "requestState": "ours", "inputResponses": {"approval": {}}, "arguments": {}}
    assert mcp_holds.restored(params, {}) == {"name": "t", "arguments": {}}
    upstream: JsonObject = {"requestState": "theirs", "inputResponses": {"q": {"action": "accept"}}}
    assert mcp_holds.restored(params, upstream) == {"name": "t", "arguments": {}, **upstream}
    assert mcp_holds.carried({**params, **upstream}) == upstream
    assert mcp_holds.carried({"name": "t"}) == {}


def test_an_answer_of_its_own_takes_the_place_of_the_refusals_words() -> None:
    held = Refusal(RefusalKind.HELD, "held", answer={"result": mcp_holds.come_back("s", DATA)})
    rendered = refusal(held, refusal_id="ex-1", request_id=7, protocol_version="2026-07-28", verb="prompts/get")
    assert rendered.status == 200
    said = json.loads(rendered.body)
    assert (said["id"], said["result"]["requestState"]) == (7, "s")


def test_url_elicitation_required_reaches_a_client_with_sessions_under_status_200() -> None:
    held = Refusal(RefusalKind.HELD, "held", answer={"error": mcp_holds.look_there("apr-1", LINK, DATA)})
    rendered = refusal(held, refusal_id="ex-1", request_id=7, protocol_version="2025-11-25", verb="tools/call")
    assert rendered.status == 200
    assert json.loads(rendered.body)["error"]["code"] == -32042


def test_nothing_is_said_to_who_cancelled() -> None:
    held = Refusal(RefusalKind.HELD, "cancelled", answer={})
    rendered = refusal(held, refusal_id="ex-1", request_id=7, protocol_version="2025-11-25", verb="tools/call")
    assert (rendered.status, rendered.body) == (200, b"")
    assert ("Content-Type", "text/event-stream") in rendered.headers


def test_a_call_that_was_taken_back_is_told_to_the_model() -> None:
    result = mcp_types.CallToolResult.model_validate(mcp_holds.taken_back(DATA))
    assert result.is_error
    assert "Nothing was done" in result.content[0].text  # type: ignore[union-attr]
