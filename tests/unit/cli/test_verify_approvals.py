"""Approvals judged from the record alone: what was proved stays proved, and what was changed afterwards shows."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.approvals import term
from tests.fakes.court import Court, court
from tests.fakes.issuer import make_key

from holdpoint.approvals.judge import Weight, histories, judge
from holdpoint.cli.commands import main
from holdpoint.cli.verify import Known
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.decision import BreakGlass, Scope
from holdpoint.keys import PinnedKeys, load_ring, public_pem

TWO = term(required=2)


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Court]:
    async with court(tmp_path) as it:
        yield it


def verify(it: Court, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    it.audit.close()
    status = main(["--config", str(it.settings.file), "approvals", "verify", *arguments])
    told = capsys.readouterr()
    return status, told.out + told.err


def jwks(it: Court, folder: Path) -> str:
    file = folder / "jwks.json"
    file.write_text(json.dumps(it.issuer.jwks()))
    return str(file)


def found(it: Court, change: Callable[[list[dict[str, Any]]], None] = lambda _: None) -> list[tuple[Weight, str]]:
    """Judge the only request of the log, its events changed as somebody with the audit key could."""
    events = it.events()
    change(events)
    assert it.settings.console is not None
    clients = frozenset({"holdpoint-console", "holdpoint-cli"})
    issuer = it.settings.issuer("corp")
    known = Known({}, PinnedKeys(it.settings.console.signing), {issuer.url: (issuer, clients)})
    (history,) = histories(events).values()
    return [(f.weight, f.text) for f in judge(history, known.console, known.check).findings]


def bad(findings: list[tuple[Weight, str]]) -> str:
    return "; ".join(text for weight, text in findings if weight is Weight.BAD)


async def test_an_approval_of_two_is_proved_by_the_issuers_key(
    it: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = await it.hold(TWO)
    await it.approve(held, "rita")
    await it.approve(held, "sam")
    await it.forward(held.id)
    status, told = verify(it, capsys, "--jwks", jwks(it, tmp_path))
    assert status == 0, told
    assert "1 approval requests: 1 proved" in told
    assert "is met, counted anew: rita@example, sam@example" in told
    assert "signed by the console's key `console-1`" in told
    assert "claimed  " not in told


async def test_without_the_issuers_key_set_the_recorded_key_is_only_claimed(
    it: Court, capsys: pytest.CaptureFixture[str]
) -> None:
    held = await it.hold()
    await it.decide(held, **it.confirmed(it.statement(held)))
    status, told = verify(it, capsys)
    assert status == 0, told
    assert "see --jwks" in told
    assert "1 in part only claimed" in told


async def test_a_denial_and_a_request_that_waits_are_judged_too(
    it: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held, other = await it.hold(), await it.hold(what="other")
    await it.decide(held, verdict="deny", **it.signed(it.statement(held, verdict="deny")))
    status, told = verify(it, capsys, "--jwks", jwks(it, tmp_path))
    assert status == 0, told
    assert f"{held.id}  denied" in told
    assert f"{other.id}  pending" in told
    assert other.id not in verify(it, capsys, held.id)[1]
    status, told = verify(it, capsys, "apr-none")
    assert status == 1
    assert "knows no approval request `apr-none`" in told


async def test_an_auditor_needs_no_settings(it: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = await it.hold()
    await it.approve(held)
    it.audit.close()
    assert it.settings.console is not None
    rings = {"audit": load_ring(it.settings.keys), "console": PinnedKeys(it.settings.console.signing)}
    file = tmp_path / "keys.json"
    file.write_text(
        json.dumps({name: {k: public_pem(v).decode() for k, v in ring.items()} for name, ring in rings.items()})
    )
    arguments = ["--recordings", str(it.settings.recordings.folder), "--keys", str(file), "--jwks", jwks(it, tmp_path)]
    assert main(["--config", str(tmp_path / "none.yaml"), "approvals", "verify", *arguments]) == 0
    told = capsys.readouterr().out
    assert "for a client that is not known here" in told
    file.write_text(json.dumps({"audit": {}, "console": {}}))
    assert main(["--config", str(tmp_path / "none.yaml"), "approvals", "verify", *arguments]) == 1
    assert "which is not pinned here" in capsys.readouterr().out


async def test_one_file_is_judged_by_its_own_chain(
    it: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = await it.hold()
    await it.approve(held)
    it.audit.close()
    (segment,) = (it.settings.recordings.folder / "audit").glob("*.jsonl")
    main(["--config", str(it.settings.file), "audit", "export"])
    exported = tmp_path / "export.jsonl"
    exported.write_text(capsys.readouterr().out)
    for file in (segment, exported):
        status, told = verify(it, capsys, "--recordings", str(file))
        assert status == 0, told
        assert "no signed head" in told
        edited = tmp_path / f"edited-{file.name}"
        edited.write_bytes(file.read_bytes().replace(b"rita@example", b"rito@example"))
        status, told = verify(it, capsys, "--recordings", str(edited))
        assert status == 1
        assert "not what its hash says" in told


async def test_a_log_that_was_edited_does_not_hold(it: Court, capsys: pytest.CaptureFixture[str]) -> None:
    held = await it.hold()
    await it.approve(held)
    it.audit.close()
    (segment,) = (it.settings.recordings.folder / "audit").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"comment":""', b'"comment":"x"', 1))
    status, told = verify(it, capsys)
    assert status == 1
    assert "edited-line" in told
    assert "THE RECORD DOES NOT HOLD" in told


@pytest.mark.threat("T75")
async def test_another_issuers_key_beside_a_forged_token_is_found_by_the_key_set(
    it: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has the audit key and the console's can write a whole approval. Not what the issuer signs."""
    held = await it.hold(TWO)
    await it.approve(held, "rita")
    real, forged = list(it.issuer.keys), make_key("ES256", it.issuer.keys[0].kid)
    it.issuer.keys = [forged]
    said = it.statement(held, "sam")
    token = it.confirmed(said, "sam")["confirm_token"]
    vote = {"verdict": "approve", "person": "sam@example", "issuer": it.issuer.url, "subject": "u-sam"}
    vote |= {"comment": "", "at": it.clock.now(), "names": ["group:sre"]}
    proof = it.signed(said) | {"id_token": token, "issuer_key": forged.jwk()}
    detail = {"what": "resolved", "approval": held.id, "intent": held.ask.intent, "state": "approved"}
    detail |= {"vote": vote, "proof": proof, "preview": it.statement(held).preview}
    await it.audit.append(AuditEvent(AuditStage.RESOLVED, it.clock.now(), exchange="x-1", detail=detail))
    it.issuer.keys = real
    assert verify(it, capsys)[0] == 0
    status, told = verify(it, capsys, "--jwks", jwks(it, tmp_path))
    assert status == 1
    assert "sam@example: the confirming token does not count: the signature does not verify" in told
    assert "it asks for 2 of group:sre, and what holds is of rita@example" in told


def of(events: list[dict[str, Any]], stage: str) -> dict[str, Any]:
    detail: dict[str, Any] = next(e for e in reversed(events) if e["stage"] == stage)["detail"]
    return detail


def no_token(events: list[dict[str, Any]]) -> None:
    del of(events, "Voted")["proof"]["id_token"]


def no_proof(events: list[dict[str, Any]]) -> None:
    del of(events, "Voted")["proof"]


def other_person(events: list[dict[str, Any]]) -> None:
    of(events, "Voted")["vote"]["person"] = "dora@example"


def the_requester(events: list[dict[str, Any]]) -> None:
    for detail in (e["detail"] for e in events if "requesters" in e.get("detail", {})):
        detail["requesters"] = ["rita@example"]


def one_twice(events: list[dict[str, Any]]) -> None:
    first, last = of(events, "Voted"), of(events, "Resolved")
    last["vote"], last["proof"] = first["vote"], first["proof"]


def other_intent(events: list[dict[str, Any]]) -> None:
    of(events, "Forwarded")["intent"] = "sha256:" + "0" * 64


def other_comment(events: list[dict[str, Any]]) -> None:
    of(events, "Voted")["vote"]["comment"] = "with pleasure"


def other_preview(events: list[dict[str, Any]]) -> None:
    of(events, "Resolved")["preview"] = "sha256:" + "0" * 64


def other_group(events: list[dict[str, Any]]) -> None:
    of(events, "Resolved")["vote"]["names"] = ["group:dba"]


def more_persons(events: list[dict[str, Any]]) -> None:
    for detail in (e["detail"] for e in events if "terms" in e.get("detail", {})):
        detail["terms"][0]["clauses"][0]["required"] = 3


def no_end(events: list[dict[str, Any]]) -> None:
    events.remove(next(e for e in events if e["stage"] == "Resolved"))


def later(events: list[dict[str, Any]]) -> None:
    of(events, "Voted")["vote"]["at"] += 301


def other_key(events: list[dict[str, Any]]) -> None:
    of(events, "Voted")["proof"]["key"] = "console-0"


def no_terms(events: list[dict[str, Any]]) -> None:
    for detail in (e["detail"] for e in events if "terms" in e.get("detail", {})):
        detail["terms"] = []


CHANGED = [
    pytest.param(no_token, "what holds is of sam@example", id="a token taken out"),
    pytest.param(no_proof, "what holds is of sam@example", id="a proof taken out"),
    pytest.param(other_person, "somebody else", id="another person"),
    pytest.param(the_requester, "rita@example asked for it, and approved it", id="the requester"),
    pytest.param(one_twice, "counted before", id="one person twice"),
    pytest.param(other_intent, "2 different intents", id="another intent was sent"),
    pytest.param(other_comment, "another comment", id="another comment"),
    pytest.param(other_preview, "another preview", id="another preview"),
    pytest.param(other_group, "what holds is of rita@example", id="not among the reviewers"),
    pytest.param(more_persons, "it asks for 3", id="more were asked for"),
    pytest.param(no_end, "it was sent, and the log has no approval", id="sent without an end"),
    pytest.param(later, "301 s older than the vote", id="old words"),
    pytest.param(other_key, "not pinned", id="a key that is not pinned"),
    pytest.param(no_terms, "what was asked cannot be read", id="nobody was asked"),
]


@pytest.mark.threat("T75")
@pytest.mark.parametrize(("change", "why"), CHANGED)
async def test_an_approval_that_was_changed_in_the_record_is_found(
    it: Court, change: Callable[[list[dict[str, Any]]], None], why: str
) -> None:
    held = await it.hold(TWO)
    await it.approve(held, "rita")
    await it.approve(held, "sam")
    await it.forward(held.id)
    assert bad(found(it)) == ""
    assert why in bad(found(it, change))


async def test_silence_that_the_rule_allows_is_told_and_no_other(it: Court) -> None:
    await it.hold(term(auto=30))
    it.clock.advance(31)
    await it.broker.tick()
    assert (Weight.CLAIMED, "prod/writes: nobody objected for 30 s, which the rule allows") in found(it)

    def sooner(events: list[dict[str, Any]]) -> None:
        next(e for e in events if e["stage"] == "Resolved")["at"] -= 20

    assert "approved by silence after 11 s of 30 s" in bad(found(it, sooner))


async def test_broken_glass_is_told_and_only_whom_the_rules_let(it: Court) -> None:
    held = await it.hold(replace(term(), break_glass=BreakGlass(frozenset({"group:on-call"}), 60.0)))
    alice = Reviewer(it.issuer.url, "u-alice", "alice@example", frozenset({"on-call", "dev"}))
    await it.broker.break_glass(held.id, alice, "the shop is down")
    assert (Weight.CLAIMED, "alice@example broke the glass: nobody else approved it") in found(it)
    assert bad(found(it)) == ""

    def nobody(events: list[dict[str, Any]]) -> None:
        for detail in (e["detail"] for e in events if "terms" in e.get("detail", {})):
            del detail["terms"][0]["break_glass"]

    assert "which the rules do not let him" in bad(found(it, nobody))

    def somebody_else(events: list[dict[str, Any]]) -> None:
        of(events, "GlassBroken")["vote"]["person"] = "rita@example"

    assert "for a request that was not his" in bad(found(it, somebody_else))


async def test_what_was_sent_under_a_window_is_told(it: Court) -> None:
    held = await it.hold(term(scope=Scope.WINDOW, duration=900.0))
    await it.approve(held)
    await it.forward(held.id)
    await it.forward(held.id)
    told = "2 requests were sent under what it opens: that each was within it is the word of the log"
    assert (Weight.CLAIMED, told) in found(it)


async def test_a_log_from_before_says_what_it_does_not_know(it: Court) -> None:
    held = await it.hold()
    await it.approve(held)

    def older(events: list[dict[str, Any]]) -> None:
        for event in events:
            for name in ("terms", "requesters", "requester", "preview", "proof"):
                event.get("detail", {}).pop(name, None)

    findings = found(it, older)
    assert bad(findings) == ""
    assert (Weight.CLAIMED, "the log does not say what was asked of whom") in findings
    assert (Weight.CLAIMED, "rita@example: approve, by the word of the log alone") in findings
