"""Other channels, by the real apprise to a receiver on loopback."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.approvals import ask, principal
from tests.fakes.notice_receivers import Receiver
from tests.fakes.notices import link, office, sink

from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.notify_apprise import Apprise, tame
from holdpoint.approvals.notify_senders import open_senders
from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.domain.notice import Audience
from holdpoint.domain.refusal import ConfigError
from holdpoint.secrets import Secret
from holdpoint.settings import SecretSource, Sink

WHERE = "sink `pager`"


def held() -> BrokerEvent:
    request = ApprovalRequest("apr-1", ask(), ApprovalState.PENDING, 1_800_000_000.0, 1_800_000_600.0)
    return BrokerEvent(BrokerEventKind.HELD, request)


async def test_apprise_carries_title_lines_and_the_link(tmp_path: Path) -> None:
    with Receiver() as receiver:
        url = receiver.url.replace("http://", "json://") + "/in"
        async with office(tmp_path, (sink(),), {"hook": Apprise(Secret(url), where=WHERE)}) as it:
            it.outbox._timeout = 10
            it.notifier.on_event(held())
            await it.turn()
            assert it.outcomes() == ["delivered"]
        (got,) = receiver.inbox.got
    assert got.json["title"] == "Alice asks for approval: tools/call tool deploy on shop"
    assert got.json["message"].endswith(link("apr-1"))
    assert "request: apr-1" in got.json["message"]


@pytest.mark.threat("T80")
async def test_nothing_that_a_caller_chose_calls_anybody_or_leads_anywhere_in_any_chat(tmp_path: Path) -> None:
    nasty = "@everyone x@here @U1 <!channel> <users/all> [click](https://evil.example/approve) https://evil.example"
    asked = ask(what=nasty, who=replace(principal(), name=nasty))
    request = ApprovalRequest("apr-1", asked, ApprovalState.PENDING, 1_800_000_000.0, 1_800_000_600.0)
    with Receiver() as receiver:
        url = receiver.url.replace("http://", "json://") + "/in"
        async with office(tmp_path, (sink(),), {"hook": Apprise(Secret(url), where=WHERE)}) as it:
            it.outbox._timeout = 10
            it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, request))
            await it.turn()
        (got,) = receiver.inbox.got
    for text in (got.json["title"], got.json["message"].removesuffix(link("apr-1"))):
        assert "evil.example" in text
        assert not [mark for mark in ("@everyone", "@here", "@U1", "<", "](", "://") if mark in text]


def test_an_address_of_mail_is_left_as_it_is() -> None:
    assert tame("person: alice.archer+ops@corp.example") == "person: alice.archer+ops@corp.example"


@pytest.mark.failure("F-notices-endpoint")
@pytest.mark.parametrize("sickness", ["500", "302 /elsewhere"])
async def test_what_apprise_could_not_deliver_is_tried_again(tmp_path: Path, sickness: str) -> None:
    with Receiver() as receiver:
        receiver.inbox.script = [sickness]
        url = receiver.url.replace("http://", "json://")
        async with office(tmp_path, (sink(),), {"hook": Apprise(Secret(url), where=WHERE)}) as it:
            it.outbox._timeout = 10
            it.notifier.on_event(held())
            await it.turn()
            assert it.outcomes() == []
            await it.turn(60)
            assert it.outcomes() == ["delivered"]
        assert len(receiver.inbox.got) == 2


REFUSED = [
    pytest.param("json://hooks.example.com/in", "not encrypted: write `jsons://`", id="plain"),
    pytest.param("nonsense://hooks.example.com", "does not take its URL", id="unknown"),
    pytest.param("json://127.0.0.1:1, json://127.0.0.1:2", "more than one", id="two of them"),
]


@pytest.mark.parametrize(("url", "error"), REFUSED)
def test_a_url_that_is_not_fit_refuses_start_and_is_not_quoted(url: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        Apprise(Secret(url), where=WHERE)
    assert "example" not in str(caught.value)


def test_without_the_extra_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match="needs the extra `notify`"):
        Apprise(Secret("json://127.0.0.1:1"), where=WHERE)


def test_the_url_of_slacks_webhook_must_be_encrypted() -> None:
    hook = Sink("chat", "slack", Audience.REVIEWERS, frozenset(), address=SecretSource(env="URL"))
    assert set(open_senders([hook], {"URL": "https://hooks.slack.com/services/T/B/x"}, source="")) == {"chat"}
    with pytest.raises(ConfigError, match="is not https") as caught:
        open_senders([hook], {"URL": "http://hooks.slack.com/services/T/B/x"}, source="")
    assert "services" not in str(caught.value)
