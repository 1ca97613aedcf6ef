"""What comes back from Slack denies, for somebody who may, and does nothing else; and what the terminal may ask."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes.approvals import ISSUER, ask, house, term
from tests.fakes.notice_receivers import SIGNING_SECRET, pressed, signed
from tests.fakes.notices import Kept, Office, sink

from holdpoint.admin.errors import AdminError
from holdpoint.approvals.broker import Broker
from holdpoint.approvals.notify import Notifier
from holdpoint.approvals.slack_actions import App, SlackActions
from holdpoint.clock import ManualClock
from holdpoint.domain.approval import ApprovalState, Verdict
from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.secrets import Secret
from holdpoint.settings import SlackUser
from holdpoint.stages.notice_methods import NoticeMethods
from holdpoint.store.sqlite import SqliteStore

PEOPLE = {
    "UANA": SlackUser("ana@example"),
    "UBOB": SlackUser("bob@example", ISSUER, frozenset({"sre"})),
    "UALICE": SlackUser("alice@example", ISSUER, frozenset({"sre"})),
}


@dataclass
class Services:
    broker: Broker
    notices: Notifier
    slack: SlackActions
    store: SqliteStore
    clock: ManualClock


@dataclass
class Door:
    services: Services
    told: Kept

    async def call(self, method: str, **params: JsonValue) -> JsonObject:
        return as_object(await NoticeMethods(self).table()[method](params))

    async def press(self, approval: str, user: str, *, secret: str = SIGNING_SECRET, **more: object) -> JsonObject:
        body = pressed(approval, user, **more)
        timestamp, signature = signed(body, at=self.services.clock.now(), secret=secret)
        return await self.call(
            "slack.action", body=base64.b64encode(body).decode(), timestamp=timestamp, signature=signature
        )


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with house(tmp_path / "s.db") as home:
        told = Kept()
        office = Office(home.store, home.clock, (sink(),), {"hook": told})
        slack = SlackActions([App(Secret(SIGNING_SECRET), "", PEOPLE)], home.clock)
        yield Door(Services(home.broker, office.notifier, slack, home.store, home.clock), told)
        await office.notifier.close()


async def test_a_reviewer_denies_in_slack_and_the_vote_says_so(door: Door) -> None:
    held = await door.services.broker.request(ask())
    assert await door.press(held.id, "UBOB") == {"id": held.id, "state": "denied"}
    after = await door.services.broker.get(held.id)
    (vote,) = after.votes
    assert (after.state, vote.verdict) == (ApprovalState.DENIED, Verdict.DENY)
    assert (vote.reviewer.person, vote.reviewer.subject, vote.comment) == ("bob@example", "slack:UBOB", "in Slack")


async def test_who_has_no_groups_denies_only_what_names_the_person(door: Door) -> None:
    of_group = await door.services.broker.request(ask(what="a"))
    with pytest.raises(AdminError, match="not among the reviewers") as caught:
        await door.press(of_group.id, "UANA")
    assert caught.value.code == "not_allowed"
    of_ana = await door.services.broker.request(ask(term(reviewers=frozenset({"person:ana@example"})), what="b"))
    assert (await door.press(of_ana.id, "UANA"))["state"] == "denied"


@pytest.mark.threat("T81")
async def test_who_asked_for_it_decides_nothing_in_slack_either(door: Door) -> None:
    held = await door.services.broker.request(ask())
    with pytest.raises(AdminError):
        await door.press(held.id, "UALICE")
    assert (await door.services.broker.get(held.id)).state is ApprovalState.PENDING


APPROVING = [
    pytest.param({"action": "holdpoint-approve"}, id="a button of that name"),
    pytest.param({"verdict": "approve"}, id="a word in the payload"),
    pytest.param({"type": "message_action"}, id="another kind"),
]


@pytest.mark.threat("T81")
@pytest.mark.parametrize("more", APPROVING)
async def test_nothing_that_comes_from_slack_approves(door: Door, more: dict[str, str]) -> None:
    held = await door.services.broker.request(ask())
    await door.press(held.id, "UBOB", **more)
    after = await door.services.broker.get(held.id)
    assert after.state in (ApprovalState.PENDING, ApprovalState.DENIED)
    assert all(vote.verdict is Verdict.DENY for vote in after.votes)


@pytest.mark.threat("T81")
async def test_what_slack_did_not_sign_changes_nothing(door: Door) -> None:
    held = await door.services.broker.request(ask())
    with pytest.raises(AdminError) as caught:
        await door.press(held.id, "UBOB", secret="guessed")
    assert caught.value.code == "unauthenticated"
    assert (await door.services.broker.get(held.id)).state is ApprovalState.PENDING


async def test_too_late_and_unknown_are_said_so(door: Door) -> None:
    held = await door.services.broker.request(ask())
    await door.press(held.id, "UBOB")
    with pytest.raises(AdminError) as late:
        await door.press(held.id, "UBOB", trigger_id="2")
    assert late.value.code == "already_resolved"
    with pytest.raises(AdminError) as unknown:
        await door.press("apr-none", "UBOB")
    assert unknown.value.code == "not_found"
    with pytest.raises(AdminError) as odd:
        await door.call("slack.action", body="not base64!", timestamp="1", signature="v0=")
    assert odd.value.code == "bad_request"


async def test_without_people_in_the_settings_nothing_is_taken(door: Door) -> None:
    door.services.slack.apps = ()
    with pytest.raises(AdminError, match="no sink takes"):
        await door.press("apr-1", "UBOB")


async def test_the_terminal_lists_retries_and_tests(door: Door) -> None:
    assert await door.call("notices.list") == {
        "notices": [],
        "sinks": [
            {
                "name": "hook",
                "kind": "webhook",
                "for": "reviewers",
                "events": ["break-glass", "held", "resolved", "review-due"],
                "problem": "",
            }
        ],
    }
    assert await door.call("notices.test", name="hook") == {"delivered": True, "problem": ""}
    assert door.told.events == ["test"]
    for method, params, code in (
        ("notices.test", {"name": "nobody"}, "not_found"),
        ("notices.retry", {"id": "ntc-0"}, "not_found"),
        ("notices.list", {"state": "odd"}, "bad_request"),
    ):
        with pytest.raises(AdminError) as caught:
            await door.call(method, **params)
        assert caught.value.code == code
