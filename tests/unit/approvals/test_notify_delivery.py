"""Delivery to a real endpoint that verifies signatures, and misbehaves in every way that endpoints do."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from standardwebhooks.webhooks import WebhookVerificationError
from tests.fakes.approvals import ask
from tests.fakes.notice_receivers import OLD_SECRET, SECRET, Receiver, verified
from tests.fakes.notices import GATEWAY, Kept, Office, office, sink, webhook
from tests.fakes.wire import certificate

from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.notify_http import MAX_ANSWER, is_trustworthy
from holdpoint.approvals.notify_outbox import DELAYS, GIVE_UP, LEASE
from holdpoint.approvals.notify_webhook import signers
from holdpoint.approvals.terms import key_of
from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.domain.audit import AuditStage
from holdpoint.domain.notice import Audience, NoticeEvent
from holdpoint.domain.refusal import ConfigError
from holdpoint.secrets import Secret
from holdpoint.store.protocol import Resolution
from holdpoint.store.sqlite import SqliteStore

DAY = 86_400.0


def held(number: int = 1, at: float = 1_800_000_000.0) -> BrokerEvent:
    request = ApprovalRequest(f"apr-{number}", ask(), ApprovalState.PENDING, at, at + 600)
    return BrokerEvent(BrokerEventKind.HELD, request)


async def state(at: Office) -> tuple[str, int, str]:
    (row,) = await at.store.notices()
    return row.state, row.attempts, row.error


async def test_a_webhook_is_a_signed_cloud_event(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with office(tmp_path, (sink(),), {"hook": webhook(f"{receiver.url}/in")}) as it:
            it.notifier.on_event(held())
            await it.turn()
            (row,) = await it.store.notices()
        (got,) = receiver.inbox.got
    event = verified(got)
    assert got.path == "/in"
    assert got.headers["content-type"] == "application/cloudevents+json"
    assert (event["specversion"], event["type"], event["source"]) == ("1.0", "dev.holdpoint.approval.held", GATEWAY)
    assert (event["id"], event["subject"]) == (row.id, "apr-1")
    assert got.headers["webhook-id"] == row.id
    assert event["time"].endswith("Z")
    data = event["data"]
    assert data["link"] == "https://console.example.com/requests/apr-1"
    assert (data["who"], data["person"], data["target"], data["verb"]) == (
        "Alice",
        "alice@example",
        "shop",
        "tools/call",
    )
    assert row.state == "delivered"
    assert [e.stage for e in it.audited] == [AuditStage.NOTIFIED]
    assert it.outcomes() == ["delivered"]


@pytest.mark.threat("T80")
async def test_arguments_and_whatever_people_typed_stay_at_home(tmp_path: Path) -> None:
    asked = replace(
        ask(), reason="because hunter2", preview={"arguments": {"password": "hunter2"}, "resource": "tool x"}
    )
    request = ApprovalRequest("apr-1", asked, ApprovalState.DENIED, 1.0, 600.0, resolution="denied by Bob: hunter2")
    with Receiver() as receiver:
        async with office(tmp_path, (sink(everything=True),), {"hook": webhook(receiver.url)}) as it:
            it.notifier.on_event(BrokerEvent(BrokerEventKind.HELD, replace(request, state=ApprovalState.PENDING)))
            it.notifier.on_event(BrokerEvent(BrokerEventKind.RESOLVED, replace(request, reason="hunter2 again")))
            await it.turn()
        assert len(receiver.inbox.got) == 2
        assert not [g for g in receiver.inbox.got if b"hunter2" in g.body or b"ratio" in g.body]


async def test_two_secrets_sign_twice_so_that_one_can_be_replaced(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with office(tmp_path, (sink(),), {"hook": webhook(receiver.url, SECRET, OLD_SECRET)}) as it:
            it.notifier.on_event(held())
            await it.turn()
        (got,) = receiver.inbox.got
    assert verified(got, SECRET) == verified(got, OLD_SECRET)
    with pytest.raises(WebhookVerificationError):
        verified(got, "whsec_" + "c29tZWJvZHkgZWxzZSdzIHNlY3JldCBrZXk=")
    got.body = got.body.replace(b"apr-1", b"apr-2")
    with pytest.raises(WebhookVerificationError):
        verified(got)


SICK = [
    pytest.param("500", "it answered 500", id="500"),
    pytest.param("404", "it answered 404", id="404"),
    pytest.param("hang", "no answer within 0.5 s", id="hangs"),
    pytest.param("close", "cannot be reached: RemoteProtocolError", id="closes"),
    pytest.param("302 http://169.254.169.254/", "it answered 302: redirects are not followed", id="redirect"),
]


@pytest.mark.failure("F-notices-endpoint")
@pytest.mark.parametrize(("sickness", "error"), SICK)
async def test_what_did_not_arrive_is_sent_again_with_the_same_id(tmp_path: Path, sickness: str, error: str) -> None:
    with Receiver() as receiver:
        receiver.inbox.script = [sickness]
        async with office(tmp_path, (sink(),), {"hook": webhook(receiver.url)}) as it:
            it.notifier.on_event(held())
            await it.turn()
            assert await state(it) == ("due", 1, error)
            assert it.audited == []
            assert it.notifier.outbox.status("hook") == error
            await it.turn(DELAYS[0] * 1.2)
            assert await state(it) == ("delivered", 2, "")
        first, second = receiver.inbox.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert it.outcomes() == ["delivered"]


@pytest.mark.failure("F-notices-endpoint")
@pytest.mark.parametrize("sickness", ["drip", "huge"])
async def test_an_answer_that_never_ends_is_not_read(tmp_path: Path, sickness: str) -> None:
    with Receiver() as receiver:
        receiver.inbox.script = [sickness]
        async with office(tmp_path, (sink(),), {"hook": webhook(receiver.url)}) as it:
            it.notifier.on_event(held())
            await it.turn()
            assert await state(it) == ("delivered", 1, "")
        assert receiver.inbox.ending.wait(10), "the connection was kept"


async def test_an_answer_that_is_read_has_an_end(tmp_path: Path) -> None:
    _ = tmp_path
    with Receiver() as receiver:
        receiver.inbox.script = ["huge"]
        line = webhook(receiver.url).line
        with pytest.raises(Exception, match=f"more than {MAX_ANSWER} bytes"):
            await line.post(b"{}", {}, now=0.0, read=True)
        await line.close()


@pytest.mark.failure("F-notices-endpoint")
async def test_a_closed_port_and_a_certificate_of_nobody_are_tried_again(
    tmp_path: Path, own_tls: tuple[Path, Path]
) -> None:
    with Receiver() as gone:
        closed = gone.url
    with Receiver(tls=own_tls) as receiver:
        sinks, senders = (sink("closed"), sink("tls")), {"closed": webhook(closed), "tls": webhook(receiver.url)}
        async with office(tmp_path, sinks, senders) as it:
            it.notifier.on_event(held())
            await it.turn()
            errors = {r.sink: r.error for r in await it.store.notices()}
        assert errors == dict.fromkeys(("closed", "tls"), "cannot be reached: ConnectError")
        assert receiver.inbox.got == []


async def test_an_authority_that_the_settings_name_is_believed(tmp_path: Path, own_tls: tuple[Path, Path]) -> None:
    with Receiver(tls=own_tls) as receiver:
        senders = {"hook": webhook(receiver.url, ca_file=own_tls[0])}
        async with office(tmp_path, (sink(),), senders) as it:
            it.notifier.on_event(held())
            await it.turn()
            assert await state(it) == ("delivered", 1, "")


@pytest.mark.failure("F-notices-endpoint")
async def test_who_says_when_to_come_again_is_left_alone_until_then(tmp_path: Path) -> None:
    with Receiver() as receiver:
        receiver.inbox.script = ["429 900"]
        async with office(tmp_path, (sink(),), {"hook": webhook(receiver.url)}) as it:
            it.notifier.on_event(held(1))
            await it.turn()
            it.notifier.on_event(held(2))
            await it.turn(800)
            assert len(receiver.inbox.got) == 1
            await it.turn(101)
            assert sorted(r.state for r in await it.store.notices()) == ["delivered", "delivered"]


@pytest.mark.failure("F-notices-endpoint")
async def test_who_wants_no_more_gets_no_more_and_others_are_told(tmp_path: Path) -> None:
    ops = Kept()
    with Receiver() as receiver:
        receiver.inbox.script = ["410"]
        sinks = (sink(), sink("ops", Audience.OPERATORS))
        async with office(tmp_path, sinks, {"hook": webhook(receiver.url), "ops": ops}) as it:
            it.notifier.on_event(held(1))
            await it.turn()
            it.notifier.on_event(held(2))
            await it.turn()
            assert {r.state for r in await it.store.notices() if r.sink == "hook"} == {"dead"}
            assert "410" in it.outbox.status("hook")
        assert len(receiver.inbox.got) == 1
    assert ops.events == ["violation"]
    assert "notices to sink `hook` are given up" in str(ops.sent[0][1].data["what"])
    assert it.outcomes().count("given up") == 2


@pytest.mark.failure("F-notices-endpoint")
async def test_after_a_day_it_is_given_up_and_written_down_once(tmp_path: Path) -> None:
    with Receiver() as receiver:
        receiver.inbox.script = ["500"] * 100
        async with office(tmp_path, (sink(),), {"hook": webhook(receiver.url)}) as it:
            it.notifier.on_event(held())
            for delay in (0.0, *DELAYS):
                await it.turn(delay * 1.2)
            assert (await state(it))[0] == "dead"
            assert it.outcomes() == ["given up"]
            tried = len(receiver.inbox.got)
            await it.turn(DAY)
            assert len(receiver.inbox.got) == tried
        assert len(DELAYS) - 1 <= tried <= len(DELAYS) + 1


def test_all_attempts_together_take_about_a_day() -> None:
    assert 0.9 * GIVE_UP <= sum(DELAYS) <= GIVE_UP


async def test_one_sink_that_hangs_keeps_no_other_from_being_told(tmp_path: Path) -> None:
    other = Kept()
    with Receiver() as receiver:
        receiver.inbox.script = ["hang"] * 50
        async with office(tmp_path, (sink(), sink("chat")), {"hook": webhook(receiver.url), "chat": other}) as it:
            for number in range(20):
                it.notifier.on_event(held(number))
            for _ in range(20):
                await it.notifier.turn()
                await asyncio.sleep(0)
            await it.turn()
            assert len(other.sent) == 20
            assert len(receiver.inbox.got) <= 4


@pytest.mark.failure("F-notices-kill")
async def test_what_was_taken_by_a_gateway_that_died_is_delivered_by_the_next(tmp_path: Path) -> None:
    first = Kept()
    async with office(tmp_path, (sink(),), {"hook": first}) as it:
        it.notifier.on_event(held())
        await it.outbox._flush()
        now = it.clock.now()
        (taken,) = await it.store.claim_notices("hook", now=now, until=now + LEASE, limit=1)
    with Receiver() as receiver:
        async with office(tmp_path, (sink(),), {"hook": webhook(receiver.url)}, start=lambda: now + 1) as it:
            await it.turn()
            assert receiver.inbox.got == []
            await it.turn(LEASE)
            assert await state(it) == ("delivered", 2, "")
        assert receiver.inbox.got[0].headers["webhook-id"] == taken.id
    assert first.sent == []


@pytest.mark.failure("F-notices-kill")
async def test_what_was_never_stored_is_offered_again_after_a_start(tmp_path: Path) -> None:
    told = Kept()
    both = sink("hook", Audience.REVIEWERS, NoticeEvent.HELD, NoticeEvent.RESOLVED)
    async with office(tmp_path, (both,), {"hook": told}) as it:
        await _store(it.store, ApprovalRequest("apr-1", ask(what="a"), ApprovalState.PENDING, it.clock.now(), 2e9))
        ended = ApprovalRequest("apr-2", ask(what="b"), ApprovalState.PENDING, it.clock.now(), 2e9)
        await _store(it.store, ended)
        await _end(it.store, ended, it.clock.now() + 1)
    for _ in range(2):
        async with office(tmp_path, (both,), {"hook": told}, start=lambda: it.clock.now() + 5) as it:
            await it.turn()
    assert sorted((n.event.value, n.subject) for _, n in told.sent) == [("held", "apr-1"), ("resolved", "apr-2")]


async def test_what_ended_before_a_sink_was_there_is_not_told_to_it(tmp_path: Path) -> None:
    told = Kept()
    async with office(tmp_path, (), {}) as it:
        ended = ApprovalRequest("apr-2", ask(), ApprovalState.PENDING, it.clock.now(), 2e9)
        await _store(it.store, ended)
        await _end(it.store, ended, it.clock.now() + 1)
    async with office(tmp_path, (sink(),), {"hook": told}, start=lambda: it.clock.now() + 5) as it:
        await it.turn()
    assert told.sent == []


@pytest.mark.failure("F-notices-kill")
async def test_two_gateways_never_tell_the_same_thing_twice(tmp_path: Path) -> None:
    told = Kept()
    async with office(tmp_path, (sink(),), {"hook": told}) as it:
        other = Office(it.store, it.clock, (sink(),), {"hook": told})
        for one in (it, other):
            one.notifier.on_event(held())
        for one in (it, other, it):
            await one.turn()
        assert len(told.sent) == 1
        assert len(it.audited) + len(other.audited) == 1
        await other.notifier.close()


SECRETS = [
    pytest.param("whsec_", id="empty"),
    pytest.param("whsec_c2hvcnQ=", id="short"),
    pytest.param("not base64 at all!", id="no base64"),
    pytest.param("whsec_" + "A" * 100, id="long"),
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_no_receiver_takes_refuses_start(secret: str) -> None:
    with pytest.raises(ConfigError, match="24 to 64 random bytes") as caught:
        signers([Secret(secret)], where="sink `hook`")
    assert secret.removeprefix("whsec_") not in str(caught.value) or not secret.removeprefix("whsec_")


URLS = [
    pytest.param("https://hooks.example.com/x", True, id="https"),
    pytest.param("https://10.0.0.1/x", True, id="private address"),
    pytest.param("http://127.0.0.1:9/x", True, id="loopback"),
    pytest.param("http://hooks.example.com/x", False, id="plain"),
    pytest.param("https://a:b@hooks.example.com/x", False, id="password"),
    pytest.param("file:///etc/passwd", False, id="file"),
    pytest.param("http://localhost.example.com/", False, id="looks local"),
]


@pytest.mark.parametrize(("url", "expected"), URLS)
def test_notices_leave_encrypted_or_not_at_all(url: str, expected: bool) -> None:
    assert is_trustworthy(url) is expected


@pytest.fixture(scope="module")
def own_tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


async def _store(store: SqliteStore, request: ApprovalRequest) -> None:
    await store.add_approval(request, key_of(request.ask), "")


async def _end(store: SqliteStore, request: ApprovalRequest, at: float) -> None:
    await store.resolve(request.id, Resolution(ApprovalState.EXPIRED, "nobody", at))
