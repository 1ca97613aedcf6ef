"""Somebody decides in another's name: with a stolen key, with old or foreign words, with somebody else's token."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.approvals import term
from tests.fakes.court import Court, court
from tests.fakes.issuer import FakeIssuer

from holdpoint.admin.errors import AdminError
from holdpoint.approvals.evidence import sign
from holdpoint.domain.approval import ApprovalRequest, DryRun, DryRunState
from holdpoint.domain.statement import moment
from holdpoint.keys import Signer

TWO = term(required=2)


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Court]:
    async with court(tmp_path) as it:
        yield it


async def refused(it: Court, request: ApprovalRequest, who: str = "rita", **params: Any) -> str:
    """Decide, be refused, and see that nothing was counted."""
    before = await it.broker.get(request.id)
    with pytest.raises(AdminError) as caught:
        await it.decide(request, who, **params)
    after = await it.broker.get(request.id)
    assert (after.state, after.votes) == (before.state, before.votes)
    return caught.value.message


# -- what counts


async def test_one_signed_decision_approves_where_one_is_asked(it: Court) -> None:
    held = await it.hold()
    said = it.statement(held)
    assert await it.decide(held, **it.signed(said)) == "approved"
    proof = (await it.broker.get(held.id)).votes[0].proof
    assert proof is not None
    assert (proof.statement, proof.key, proof.id_token) == (said.as_json(), "console-1", "")


async def test_two_confirmed_decisions_approve_where_two_are_asked(it: Court) -> None:
    held = await it.hold(TWO)
    assert await it.approve(held, "rita") == "pending"
    assert await it.approve(held, "sam", comment="me too") == "approved"
    for vote in (await it.broker.get(held.id)).votes:
        assert vote.proof is not None
        assert (vote.proof.issuer_key["crv"], vote.proof.key) == ("P-256", "console-1")


async def test_a_confirmed_decision_needs_no_signature(it: Court) -> None:
    held = await it.hold()
    assert await it.decide(held, **it.confirmed(it.statement(held), aud="holdpoint-cli")) == "approved"


@pytest.mark.parametrize("evidence", ["nothing", "signed", "confirmed"])
async def test_a_denial_needs_no_evidence_and_keeps_what_comes(it: Court, evidence: str) -> None:
    held = await it.hold(TWO)
    said = it.statement(held, verdict="deny")
    given = {"nothing": dict[str, Any], "signed": lambda: it.signed(said), "confirmed": lambda: it.confirmed(said)}
    assert await it.decide(held, verdict="deny", **given[evidence]()) == "denied"
    proof = (await it.broker.get(held.id)).votes[0].proof
    assert (proof is None) == (evidence == "nothing")


async def test_a_denial_counts_whatever_changed_since_it_was_read(it: Court) -> None:
    held = await it.hold()
    read = "sha256:" + "0" * 64
    said = it.statement(held, verdict="deny", preview=read)
    assert await it.decide(held, verdict="deny", preview=read, **it.signed(said)) == "denied"


async def test_where_nothing_has_to_be_signed_one_may_decide_by_a_login(tmp_path: Path) -> None:
    async with court(tmp_path, key=False) as it:
        held = await it.hold()
        assert await it.decide(held) == "approved"
        two = await it.hold(TWO, what="two")
        assert "each by a login for this very decision" in await refused(it, two)


async def test_a_new_login_is_asked_for_where_the_settings_say_so(tmp_path: Path) -> None:
    async with court(tmp_path, reviewers="reviewers: {issuers: [corp], confirm: login}\n") as it:
        held = await it.hold(TWO)
        said = it.statement(held)
        assert "auth_time" in await refused(it, held, **it.confirmed(said))
        now = int(it.clock.now())
        assert await it.decide(held, **it.confirmed(said, auth_time=now)) == "pending"


# -- the console's key in other hands


@pytest.mark.threat("T72")
async def test_a_stolen_console_key_alone_approves_nothing(it: Court) -> None:
    one, two = await it.hold(), await it.hold(TWO, what="two")
    for held in (one, two):
        assert await refused(it, held, id_token="", **it.signed(it.statement(held))) == "log in first"


@pytest.mark.threat("T72")
async def test_a_stolen_key_with_the_logins_of_two_reviewers_approves_nothing_that_two_must(it: Court) -> None:
    """All that a console holds: its key, and the login of everybody who is there. Not what their issuer signs."""
    held = await it.hold(TWO)
    for who in ("rita", "sam"):
        message = await refused(it, held, who, **it.signed(it.statement(held, who)))
        assert "each by a login for this very decision" in message
        again = it.signed(it.statement(held, who)) | {"confirm_token": it.login(who)}
        assert "`nonce`" in await refused(it, held, who, **again)


@pytest.mark.threat("T72")
async def test_two_rules_or_two_groups_are_two_persons(it: Court) -> None:
    held = await it.hold(term(), term(rule="other", reviewers=frozenset({"group:dba"})), what="two rules")
    assert "two persons" in await refused(it, held, "sam", **it.signed(it.statement(held, "sam")))


@pytest.mark.threat("T72")
async def test_a_key_that_is_not_pinned_signs_nothing(it: Court) -> None:
    held = await it.hold()
    said = it.statement(held)
    for key_id in ("console-1", "console-2", "audit-2"):
        stranger = Signer(key_id, Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))
        forged = {"statement": said.as_json(), "key": key_id, "signature": sign(said, stranger)}
        assert "key" in await refused(it, held, **forged)


@pytest.mark.threat("T72")
async def test_an_approval_without_any_evidence_is_refused_where_it_has_to_be_signed(it: Court) -> None:
    held = await it.hold()
    assert "has to be signed" in await refused(it, held)
    assert "has to be signed" in await refused(it, held, statement=it.statement(held).as_json())
    assert "is missing" in await refused(it, held, signature="x")
    assert "is missing" in await refused(it, held, confirm_token=it.login())


# -- words of another time, another request, another person


CHANGES: list[Any] = [
    pytest.param({"request": "apr-other"}, "another request", id="of another request"),
    pytest.param({"gateway": "eu"}, "another gateway", id="of another gateway"),
    pytest.param({"subject": "u-sam"}, "another reviewer", id="of another reviewer"),
    pytest.param({"issuer": "https://evil.example"}, "another reviewer", id="of another issuer"),
    pytest.param({"intent": "sha256:" + "0" * 64}, "something else", id="of another intent"),
    pytest.param({"preview": "sha256:" + "0" * 64}, "preview changed", id="of what was read before"),
    pytest.param({"verdict": "deny"}, "opposite", id="that says no"),
    pytest.param({"comment": "only on friday"}, "comment", id="with a comment that the console dropped"),
    pytest.param({"at": moment(1_800_000_000 - 301)}, "old", id="of six minutes ago"),
    pytest.param({"at": moment(1_800_000_000 + 31)}, "in the future", id="of tomorrow"),
]


@pytest.mark.threat("T73")
@pytest.mark.parametrize("how", ["signed", "confirmed", "both"])
@pytest.mark.parametrize(("change", "why"), CHANGES)
async def test_a_decision_on_anything_else_counts_for_nothing(
    it: Court, change: dict[str, Any], why: str, how: str
) -> None:
    held = await it.hold()
    said = it.statement(held, **change)
    signed, confirmed = it.signed(said), it.confirmed(said)
    given = {"signed": signed, "confirmed": confirmed, "both": signed | confirmed}[how]
    assert why in await refused(it, held, **given)


@pytest.mark.threat("T73")
async def test_the_words_that_were_signed_cannot_be_exchanged_for_others(it: Court) -> None:
    """A console that has a reviewer confirm one comment, and sends another."""
    held = await it.hold()
    confirmed = it.confirmed(it.statement(held, comment="never on friday"))
    other = it.statement(held, comment="")
    swapped = confirmed | {"statement": other.as_json()}
    assert "`nonce` is not the digest" in await refused(it, held, **swapped)
    signed = it.signed(it.statement(held, comment="never on friday")) | {"statement": other.as_json()}
    assert "signature" in await refused(it, held, **signed)


@pytest.mark.threat("T73")
async def test_a_decision_for_one_request_does_not_decide_the_same_request_made_again(it: Court) -> None:
    held = await it.hold()
    evidence = it.signed(it.statement(held))
    await it.decide(held, verdict="deny")
    again = await it.hold()
    assert again.id != held.id
    assert "another request" in await refused(it, again, **evidence)


@pytest.mark.threat("T73")
async def test_a_decision_is_counted_once(it: Court) -> None:
    held = await it.hold(TWO)
    said = it.statement(held)
    evidence = it.signed(said) | it.confirmed(said)
    assert await it.decide(held, **evidence) == "pending"
    assert "counted before" in await refused(it, held, **evidence)


@pytest.mark.threat("T73")
async def test_one_person_who_confirms_twice_is_one_person(it: Court) -> None:
    held = await it.hold(TWO)
    assert await it.approve(held) == "pending"
    it.clock.advance(2)
    assert await it.approve(held, comment="and again") == "pending"
    assert await it.state(held) == "pending"


# -- tokens of others, or for something else


WRONG_TOKENS: list[Any] = [
    pytest.param({"aud": "grafana"}, "`aud`", id="of another client"),
    pytest.param({"aud": ["holdpoint-console", "grafana"]}, "`aud`", id="of two clients"),
    pytest.param({"azp": "grafana"}, "`azp`", id="asked for by another client"),
    pytest.param({"sub": "u-sam"}, "somebody else", id="of another account"),
    pytest.param({"email": "sam@example"}, "somebody else", id="of another person"),
    pytest.param({"nonce": "sha256:" + "0" * 64}, "`nonce`", id="for another decision"),
    pytest.param({"nonce": None}, "`nonce`", id="for no decision"),
    pytest.param({"iat": 1_800_000_000 - 301}, "301 s old", id="of before"),
    pytest.param({"iat": 1_800_000_000 - 90, "exp": 1_800_000_000 - 31}, "expired", id="that has expired"),
    pytest.param({"iss": "https://evil.example"}, "is not accepted", id="of another issuer"),
    pytest.param({"scope": "openid"}, "`scope`", id="for access"),
]


@pytest.mark.threat("T74")
@pytest.mark.parametrize(("claims", "why"), WRONG_TOKENS)
async def test_any_other_token_confirms_nothing(it: Court, claims: dict[str, Any], why: str) -> None:
    held = await it.hold(TWO)
    said = it.statement(held)
    assert why in await refused(it, held, **it.signed(said) | it.confirmed(said, **claims))


@pytest.mark.threat("T74")
async def test_an_issuer_that_is_not_of_the_settings_confirms_nothing(it: Court) -> None:
    held = await it.hold(TWO)
    said = it.statement(held)
    with FakeIssuer(clock=it.clock, alg="ES256") as other:
        other.keys[0] = replace(other.keys[0], kid=it.issuer.keys[0].kid)
        for url in (other.url, it.issuer.url):
            forged = it.confirmed(said) | {
                "confirm_token": other.mint_id_token(
                    {"iss": url, "sub": "u-rita", "email": "rita@example", "nonce": said.digest}
                )
            }
            await refused(it, held, **forged)


@pytest.mark.threat("T74")
async def test_a_token_of_another_reviewer_does_not_confirm_for_this_one(it: Court) -> None:
    held = await it.hold(TWO)
    said = it.statement(held, "sam")
    assert "another reviewer" in await refused(it, held, "rita", **it.confirmed(said, "sam"))
    mixed = it.confirmed(it.statement(held, "rita"), "sam")
    assert "somebody else" in await refused(it, held, "rita", **mixed)


def _none(token: str) -> str:
    head, body, _ = token.split(".")
    return f"{head}.{body}."


def _cut(token: str) -> str:
    return token[:-8]


@pytest.mark.threat("T74")
@pytest.mark.parametrize("damage", [_none, _cut, str.upper], ids=["no signature", "half of one", "another spelling"])
async def test_a_damaged_token_confirms_nothing(it: Court, damage: Callable[[str], str]) -> None:
    held = await it.hold(TWO)
    given = it.confirmed(it.statement(held))
    await refused(it, held, **given | {"confirm_token": damage(given["confirm_token"])})


@pytest.mark.threat("T74")
async def test_a_token_that_confirms_opens_nothing_else(it: Court) -> None:
    held = await it.hold(TWO)
    token = it.confirmed(it.statement(held))["confirm_token"]
    for method in ("approvals.list", "approvals.get", "approvals.decide"):
        with pytest.raises(AdminError) as caught:
            await it.methods.table()[method](
                {"id": held.id, "id_token": token, "verdict": "deny", "expect": held.ask.intent}
            )
        assert caught.value.code == "unauthenticated"


@pytest.mark.threat("T68")
@pytest.mark.parametrize("state", [DryRunState.PENDING, DryRunState.READY, DryRunState.FAILED], ids=str)
async def test_yes_that_does_not_say_what_was_read_is_none_where_a_write_was_tried(
    it: Court, state: DryRunState
) -> None:
    held = await it.hold()
    held = await it.broker.note_dry_run(held.id, DryRun(state, "", 1.0, {"diff": []}, "hmac", {}))
    with pytest.raises(AdminError, match="preview"):
        await it.decide(held, preview="")
    assert await it.decide(held, preview="", verdict="deny") == "denied"


# -- what is kept


async def test_the_log_keeps_what_proves_a_decision(it: Court) -> None:
    held = await it.hold(TWO)
    await it.approve(held, "rita")
    await it.approve(held, "sam")
    asked, voted, resolved = it.events()[-3:]
    assert [e["stage"] for e in (asked, voted, resolved)] == ["Held", "Voted", "Resolved"]
    assert asked["detail"]["terms"][0]["clauses"] == [{"reviewers": ["group:sre"], "required": 2}]
    assert asked["detail"]["requesters"] == ["alice@example"]
    for event, who in ((voted, "rita"), (resolved, "sam")):
        detail = event["detail"]
        assert detail["vote"]["names"] == ["group:sre"]
        assert detail["proof"]["statement"]["reviewer"]["subject"] == f"u-{who}"
        assert detail["proof"]["statement"]["preview"] == detail["preview"] == asked["detail"]["preview"]
        assert detail["proof"]["key"] == "console-1"
        assert detail["proof"]["issuer_key"]["kty"] == "EC"


async def test_no_token_is_logged_or_told(it: Court, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    held = await it.hold(TWO)
    said = it.statement(held)
    evidence = it.confirmed(said)
    await it.decide(held, **evidence)
    await refused(it, held, **it.confirmed(replace(said, comment="x")))
    secret = evidence["confirm_token"].rsplit(".", 1)[1]
    assert secret not in caplog.text
    assert secret not in " ".join(it.refused)
    assert secret not in str(await it.methods.table()["approvals.get"]({"id": held.id, "id_token": it.login()}))
