"""Messages in Slack, to a stand-in that takes them as Slack does."""

from pathlib import Path

import pytest
from tests.fakes.approvals import ask
from tests.fakes.notice_receivers import Receiver
from tests.fakes.notices import link, office, sink

from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.notify_http import Line
from holdpoint.approvals.notify_slack import Slack, escaped
from holdpoint.approvals.notify_texts import of_request
from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.domain.notice import NoticeEvent
from holdpoint.domain.values import JsonValue
from holdpoint.secrets import Secret

TOKEN = Secret("xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcBrzbqgy")


def request(what: str = "deploy") -> ApprovalRequest:
    return ApprovalRequest("apr-1", ask(what=what), ApprovalState.PENDING, 1_800_000_000.0, 1_800_000_600.0)


def texts(value: JsonValue) -> list[str]:
    """Every text object, whatever kind it says it is."""
    if isinstance(value, list):
        return [t for v in value for t in texts(v)]
    if not isinstance(value, dict):
        return []
    own = [f"{value['type']}:{value['text']}"] if isinstance(value.get("text"), str) else []
    return own + [t for v in value.values() for t in texts(v)]


async def test_an_incoming_webhook_gets_a_message_with_both_buttons(tmp_path: Path) -> None:
    with Receiver() as slack:
        slack.inbox.answer = b"ok"
        senders = {"chat": Slack(Line(f"{slack.url}/services/T0/B0/x"), can_deny=True)}
        async with office(tmp_path, (sink("chat"),), senders) as it:
            it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, request()))
            await it.turn()
            assert it.outcomes() == ["delivered"]
        (got,) = slack.inbox.got
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert "authorization" not in got.headers
    open_it, deny = got.json["blocks"][-1]["elements"]
    assert open_it["url"] == link("apr-1")
    assert (deny["action_id"], deny["value"], deny["style"]) == ("holdpoint-deny", "apr-1", "danger")
    assert deny["confirm"]["confirm"]["text"] == "Deny"
    assert not [t for t in texts(got.json["blocks"]) if "approve" in t.lower() and "button" in t]


async def test_a_bot_posts_to_its_channel_and_a_refusal_that_looks_like_success_is_none(tmp_path: Path) -> None:
    with Receiver() as slack:
        slack.inbox.answer = b'{"ok": false, "error": "channel_not_found"}'
        senders = {"chat": Slack(Line(f"{slack.url}/api/chat.postMessage"), TOKEN, "C012")}
        async with office(tmp_path, (sink("chat"),), senders) as it:
            it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, request()))
            await it.turn()
            assert it.outbox.status("chat") == "Slack says `channel_not_found`"
            slack.inbox.answer = b'{"ok": true, "ts": "1"}'
            await it.turn(60)
            assert it.outcomes() == ["delivered"]
        got = slack.inbox.got[-1]
    assert got.headers["authorization"] == f"Bearer {TOKEN.reveal()}"
    assert got.json["channel"] == "C012"
    assert TOKEN.reveal().encode() not in got.body


@pytest.mark.threat("T80")
async def test_nothing_that_a_caller_chose_calls_anybody_links_anywhere_or_hides() -> None:
    nasty = "<!channel> <@U123> <https://evil|login> *b* @here & \u202eevil\u200b\x1b[2J @Everyone"
    message = Slack(Line("https://hooks.slack.com/x")).message(of_request(NoticeEvent.HELD, request(nasty), 1.0, link))
    said = texts(message["blocks"])
    assert said
    for text in [*said, str(message["text"])]:
        assert "<" not in text
        assert ">" not in text
        assert "@here" not in text
        assert "@everyone" not in text.lower()
        assert text.isprintable()
        assert "\u202e" not in text
    assert all(t.startswith("plain_text:") for t in said)
    assert "U+202E" in str(message)
    assert (message["mrkdwn"], message["link_names"], message["unfurl_links"]) == (False, False, False)


def test_a_long_name_keeps_within_what_slack_takes() -> None:
    message = Slack(Line("https://hooks.slack.com/x")).message(
        of_request(NoticeEvent.HELD, request("&" * 5_000), 1.0, link)
    )
    blocks = message["blocks"]
    assert isinstance(blocks, list)
    for block in blocks:
        assert isinstance(block, dict)
        if block["type"] == "header":
            assert len(texts(block)[0]) <= 150 + len("plain_text:")
        fields = block.get("fields", [])
        assert isinstance(fields, list)
        assert len(fields) <= 10
        assert all(len(t) <= 2_000 for t in texts(fields))


@pytest.mark.threat("T81")
def test_only_what_waits_can_be_denied_and_nothing_can_be_approved() -> None:
    slack = Slack(Line("https://hooks.slack.com/x"), can_deny=True)
    for event in NoticeEvent:
        message = str(slack.message(of_request(event, request(), 1.0, link)))
        assert ("holdpoint-deny" in message) is (event in (NoticeEvent.HELD, NoticeEvent.REMINDER))
        assert "holdpoint-approve" not in message
    silent = Slack(Line("https://hooks.slack.com/x"))
    assert "holdpoint-deny" not in str(silent.message(of_request(NoticeEvent.HELD, request(), 1.0, link)))


def test_the_three_characters_of_slack_are_escaped_once() -> None:
    assert escaped("a & b < c > d") == "a &amp; b &lt; c &gt; d"
