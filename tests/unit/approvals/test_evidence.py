from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.approvals import ask, reviewer

from holdpoint.approvals.evidence import (
    BadEvidence,
    check_signature,
    proof_from,
    proof_json,
    read_statement,
    sign,
    was_counted,
)
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Proof, Verdict, Vote, preview_digest
from holdpoint.domain.statement import Statement, moment
from holdpoint.keys import Signer

NOW = 1_800_000_000.0
REQUEST = ApprovalRequest("apr-1", ask(), ApprovalState.PENDING, NOW, NOW + 600)
PREVIEW = preview_digest(REQUEST)
BOB = reviewer()
SAID = Statement("apr-1", REQUEST.ask.intent, PREVIEW, "approve", "fine", BOB.issuer, BOB.subject, moment(NOW))
SIGNER = Signer("console-1", Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
PINNED = {"console-1": SIGNER.public}


def read(said: Any, *, request: ApprovalRequest = REQUEST, now: float = NOW, **changes: Any) -> Statement:
    told = {"verdict": "approve", "comment": "fine", "preview": PREVIEW} | changes
    value = said.as_json() if isinstance(said, Statement) else said
    return read_statement(value, request, BOB, now=now, **told)


def test_a_statement_of_what_is_decided_here_and_now_is_taken() -> None:
    assert read(SAID) == SAID
    assert read(SAID, now=NOW + 300) == SAID
    assert read(SAID, now=NOW - 30) == SAID


FOREIGN: list[Any] = [
    pytest.param(replace(SAID, request="apr-2"), "another request", id="of another request"),
    pytest.param(replace(SAID, gateway="eu"), "another gateway", id="of another gateway"),
    pytest.param(replace(SAID, subject="carol@example"), "another reviewer", id="of another reviewer"),
    pytest.param(replace(SAID, issuer="https://other.example"), "another reviewer", id="of another issuer"),
    pytest.param(replace(SAID, intent="sha256:" + "0" * 64), "something else", id="of another intent"),
    pytest.param(replace(SAID, preview="sha256:" + "0" * 64), "preview changed", id="of another preview"),
    pytest.param(replace(SAID, verdict="deny"), "opposite", id="of the other verdict"),
    pytest.param(replace(SAID, comment="fine."), "comment", id="with another comment"),
    pytest.param(replace(SAID, at=moment(NOW - 301)), "301 s old", id="old"),
    pytest.param(replace(SAID, at=moment(NOW + 31)), "31 s in the future", id="of tomorrow"),
    pytest.param("approve", "cannot be read", id="no statement"),
]


@pytest.mark.parametrize(("said", "message"), FOREIGN)
def test_any_other_statement_is_refused_by_what_is_wrong_with_it(said: Any, message: str) -> None:
    with pytest.raises(BadEvidence, match=message):
        read(said)


def test_a_statement_counts_once() -> None:
    vote = Vote(BOB, Verdict.APPROVE, "fine", NOW, Proof(SAID.as_json()))
    other = Vote(BOB, Verdict.APPROVE, "", NOW)
    assert was_counted(SAID.digest, (other, vote))
    assert not was_counted(SAID.digest, (other, replace(vote, proof=Proof({"v": 1}))))
    with pytest.raises(BadEvidence, match="counted before"):
        read(SAID, request=replace(REQUEST, votes=(other, vote)))


def test_a_signature_of_a_pinned_key_is_taken() -> None:
    signature = sign(SAID, SIGNER)
    assert "=" not in signature
    check_signature(SAID, key="console-1", signature=signature, pinned=PINNED)


def _flip(signature: str) -> str:
    return ("A" if signature[0] != "A" else "B") + signature[1:]


FORGED: list[Any] = [
    pytest.param("console-2", lambda s: s, "not pinned", id="another key id"),
    pytest.param("", lambda s: s, "not pinned", id="no key id"),
    pytest.param("console-1", _flip, "not that of key", id="another signature"),
    pytest.param("console-1", lambda _: "", "no Ed25519", id="no signature"),
    pytest.param("console-1", lambda s: s + "==", "no Ed25519", id="with padding"),
    pytest.param("console-1", lambda s: s[:-4], "no Ed25519", id="cut"),
    pytest.param("console-1", lambda s: s[:-1] + "é", "no Ed25519", id="not base64url"),
    pytest.param(
        "console-1",
        lambda _: sign(SAID, Signer("console-1", Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))),
        "not that of key",
        id="by another key",
    ),
    pytest.param(
        "console-1", lambda _: sign(replace(SAID, comment=""), SIGNER), "not that of key", id="of other words"
    ),
]


@pytest.mark.parametrize(("key", "change", "message"), FORGED)
def test_any_other_signature_is_refused(key: str, change: Callable[[str], str], message: str) -> None:
    with pytest.raises(BadEvidence, match=message):
        check_signature(SAID, key=key, signature=change(sign(SAID, SIGNER)), pinned=PINNED)


def test_no_pinned_key_verifies_nothing() -> None:
    with pytest.raises(BadEvidence, match="not pinned"):
        check_signature(SAID, key="console-1", signature=sign(SAID, SIGNER), pinned={})


def test_a_proof_is_kept_whole() -> None:
    proof = Proof(SAID.as_json(), "console-1", "c2ln", "a.b.c", {"kty": "OKP"})
    assert proof_from(proof_json(proof)) == proof
    assert proof_json(Proof(SAID.as_json())) == {"statement": SAID.as_json()}
    assert proof_from(None) is None
