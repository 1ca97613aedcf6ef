"""Recordings, seen from the console: by auditors and admins alone, each look written down before it is shown."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.approvals import term
from tests.fakes.court import Court, court
from tests.fakes.recordings import event, state

from holdpoint.admin.errors import AdminError
from holdpoint.domain.audit import AuditStage
from holdpoint.domain.decision import BreakGlass
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.writer import Recorder
from holdpoint.stages import session_methods

pytestmark = pytest.mark.threat("T90")
ROLES = "reviewers: {issuers: [corp], roles: {auditor: ['person:sam@example'], admin: ['person:dora@example']}}\n"
BOTH = ["sessions.list", "sessions.show"]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Court]:
    async with court(tmp_path, reviewers=ROLES) as made:
        session, recorder = Session("ses-1", made.clock.now()), Recorder(made.audit, made.clock)
        for n in range(3):
            await made.audit.append(event(AuditStage.FORWARDED, f"ex-{n}", "ses-1"))
            recorder.record_answer(session, state(), event(AuditStage.ANSWERED, f"ex-{n}", "ses-1", masked=n))
        await asyncio.to_thread(made.audit.flush)
        yield made


async def ask(gateway: Court, method: str, who: str = "sam", **params: Any) -> Any:
    return await gateway.methods.table()[method]({"id_token": gateway.login(who), **params})


async def refused(gateway: Court, method: str, who: str = "sam", **params: Any) -> tuple[str, str]:
    with pytest.raises(AdminError) as caught:
        await ask(gateway, method, who, **params)
    return caught.value.code, caught.value.message


def looks(gateway: Court) -> list[dict[str, Any]]:
    return [e for e in gateway.events() if e["stage"] == "Viewed"]


@pytest.mark.parametrize("who", ["sam", "dora"])
async def test_auditors_and_admins_see_sessions(gateway: Court, who: str) -> None:
    listed = await ask(gateway, "sessions.list", who)
    assert [(s["id"], s["requests"], s["principal"]["name"]) for s in listed["sessions"]] == [("ses-1", 3, "Alice")]
    shown = await ask(gateway, "sessions.show", who, id="ses-1", start=1, limit=1)
    assert [(e["id"], e["outcome"], e["masked"]) for e in shown["exchanges"]] == [("ex-1", "answered", 1)]
    assert (shown["total"], shown["start"], len(shown["files"])) == (3, 1, 1)


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("who", ["rita", "alice"])
async def test_nobody_else_does_and_learns_nothing_of_what_is_there(gateway: Court, method: str, who: str) -> None:
    answers = {await refused(gateway, method, who, id=name) for name in ("ses-1", "ses-9", "../ses-1", "")}
    assert answers == {("not_allowed", "this needs the role `auditor` or `admin`")}
    assert looks(gateway) == []


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("token", [{}, {"id_token": ""}, {"id_token": "x.y.z"}], ids=["none", "empty", "forged"])
async def test_a_login_is_needed(gateway: Court, method: str, token: dict[str, str]) -> None:
    with pytest.raises(AdminError) as caught:
        await gateway.methods.table()[method]({"id": "ses-1", **token})
    assert caught.value.code == "unauthenticated"
    assert looks(gateway) == []


async def test_every_look_is_written_down_with_who_and_what(gateway: Court) -> None:
    await ask(gateway, "sessions.list", principal="Alice", since=1.0)
    await ask(gateway, "sessions.show", id="ses-1")
    await refused(gateway, "sessions.show", id="ses-9")
    await ask(gateway, "sessions.show", exchange="ex-2")
    seen = [e["detail"] for e in looks(gateway)]
    assert [{k: v for k, v in d.items() if k != "by"} for d in seen] == [
        {"what": "sessions", "search": {"principal": "Alice", "since": 1.0}},
        {"what": "session", "session": "ses-1"},
        {"what": "session", "session": "ses-9"},
        {"what": "session", "exchange": "ex-2"},
    ]
    assert {d["by"]["person"] for d in seen} == {"sam@example"}


async def test_a_look_does_not_change_the_session_that_is_looked_at(gateway: Court) -> None:
    before = await ask(gateway, "sessions.show", id="ses-1")
    gateway.clock.advance(500.0)
    after = await ask(gateway, "sessions.show", id="ses-1")
    assert after == before


async def test_nothing_is_shown_where_the_look_cannot_be_written_down(gateway: Court) -> None:
    async def cannot(_event: object) -> None:
        raise Refusal(RefusalKind.UNAVAILABLE, "the gateway cannot write records")

    services: Any = gateway.methods.services
    services.append = cannot
    for method in BOTH:
        with pytest.raises(Refusal):
            await ask(gateway, method, id="ses-1")


@pytest.mark.parametrize(
    "name", ["", "ses-9", "../../etc/passwd", "..", "ses-1/../ses-1", 'ses-1","', "ses-1\n", "é", "x" * 65]
)
async def test_what_is_no_session_is_not_there_in_the_same_words(gateway: Court, name: str) -> None:
    for key in ("id", "exchange"):
        assert await refused(gateway, "sessions.show", **{key: name}) == (
            "not_found",
            "there is no such recorded session",
        )


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"before": "../x"}, id="before"),
        pytest.param({"since": "yesterday"}, id="since"),
        pytest.param({"until": True}, id="until"),
        pytest.param({"principal": "x" * 501}, id="principal"),
        pytest.param({"target": "x" * 501}, id="target"),
    ],
)
async def test_what_cannot_be_searched_for_is_refused(gateway: Court, params: dict[str, Any]) -> None:
    assert (await refused(gateway, "sessions.list", **params))[0] == "bad_request"
    assert looks(gateway) == []


async def test_texts_of_the_log_are_cut(gateway: Court) -> None:
    long = event(AuditStage.REFUSED, "ex-l", "ses-l", refusal={"public": "r" * 10_000})
    await gateway.audit.append(long)
    (row,) = (await ask(gateway, "sessions.show", id="ses-l"))["exchanges"]
    assert len(row["refusal"]) < 400
    assert row["refusal"].endswith("(cut)")


async def test_the_session_of_a_request_is_found_with_its_place(gateway: Court) -> None:
    shown = await ask(gateway, "sessions.show", exchange="ex-2", limit=1)
    assert (shown["session"]["id"], shown["place"]) == ("ses-1", 2)


async def test_no_more_look_at_once_than_may_wait(gateway: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_methods, "MOST_WAITING", 0)
    assert (await refused(gateway, "sessions.list"))[0] == "busy"


async def test_reading_gives_the_event_loop_its_turn_and_ends_with_its_time(
    gateway: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_methods, "LONGEST", -1.0)
    assert (await ask(gateway, "sessions.list"))["whole"] is False


SECRET = "ada.lovelace@corp.example"


async def test_reasons_given_later_are_masked_as_those_on_the_wire(gateway: Court) -> None:
    held = await gateway.hold()
    await ask(gateway, "approvals.reason", "alice", id=held.id, reason=f"ask {SECRET} why")
    found = await ask(gateway, "approvals.get", id=held.id)
    assert SECRET not in json.dumps([found, gateway.events()])
    assert found["reason"].startswith("ask ")
    assert found["reason"].endswith(" why")


async def test_reasons_for_broken_glass_and_reviews_of_it_are_masked(gateway: Court) -> None:
    held = await gateway.hold(term(break_glass=BreakGlass(frozenset({"person:alice@example"}), 900.0)))
    read = {"expect": held.ask.intent, "preview": (await ask(gateway, "approvals.get", id=held.id))["preview_digest"]}
    await ask(gateway, "approvals.break_glass", "alice", id=held.id, reason=f"it burns, {SECRET} said", **read)
    await ask(gateway, "approvals.review", "rita", id=held.id, comment=f"{SECRET} was wrong")
    found = await ask(gateway, "approvals.get", id=held.id)
    assert found["glass"] == "reviewed"
    assert SECRET not in json.dumps([found, gateway.events()])


async def test_a_comment_with_a_secret_is_not_taken_for_a_signature_may_be_over_it(gateway: Court) -> None:
    held = await gateway.hold()
    read = {"expect": held.ask.intent, "verdict": "deny"}
    code, message = await refused(gateway, "approvals.decide", "rita", id=held.id, comment=f"no, {SECRET}", **read)
    assert (code, SECRET in message) == ("bad_request", False)
    assert await gateway.state(held) == "pending"
    await ask(gateway, "approvals.decide", "rita", id=held.id, comment='no: {"a":  1}', **read)
    assert await gateway.state(held) == "denied"
