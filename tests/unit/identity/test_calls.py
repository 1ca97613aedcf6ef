import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from holdpoint.clock import ManualClock
from holdpoint.domain.access import Actor, Principal
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.identity import calls as calls_module
from holdpoint.identity.calls import GRACE, ISSUER, Calls
from holdpoint.keys import KeyRing, open_call_keys
from holdpoint.settings import Keys, SigningKey

CLUSTERS = frozenset({"prod", "stage"})


def ring_of(folder: Path, *ids: str, active: str = "") -> KeyRing:
    keys = Keys(
        ca_folder=folder / "ca",
        audit_active="",
        audit=(),
        digest_file=folder / "digest",
        calls_active=active or ids[0],
        calls=tuple(SigningKey(i, folder / f"{i}.pem", create=i == (active or ids[0])) for i in ids),
    )
    ring = open_call_keys(keys)
    assert ring is not None
    return ring


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return ring_of(tmp_path, "calls-1")


@pytest.fixture
def calls(ring: KeyRing, clock: ManualClock) -> Calls:
    return Calls(ring, clock)


@pytest.fixture
def alice(clock: ManualClock) -> Principal:
    return Principal(
        issuer="https://idp.test",
        subject="u-alice",
        kind="human",
        person="alice@corp.example",
        groups=frozenset({"dev"}),
        actor=Actor("agent-7", "https://idp.test", ("agent-0",)),
        expires_at=clock.now() + 3_600,
    )


def mint(calls: Calls, who: Principal, exchange: str = "ex-1", *, lifetime: float = 120.0) -> str:
    return calls.mint(who, server="notes", clusters=CLUSTERS, exchange=exchange, lifetime=lifetime)


def claims_of(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def refused(calls: Calls, token: str, cluster: str = "prod") -> str:
    with pytest.raises(Refusal) as caught:
        calls.verify(token, cluster)
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED
    assert token not in str(caught.value)
    return caught.value.detail


def test_a_request_is_decided_for_the_human_as_the_agent_left_him_and_for_agent_and_server(
    calls: Calls, alice: Principal
) -> None:
    found = calls.verify(mint(calls, alice), "prod")
    assert (found.id, found.person, found.groups, found.kind) == (alice.id, alice.person, alice.groups, "human")
    assert found.actor == Actor("mcp-server:notes", ISSUER, ("agent-7", "agent-0"))
    assert found.call == "ex-1"
    agent, server = found.legs
    assert agent == alice
    assert (server.id, server.kind, server.person) == ("holdpoint#mcp-server:notes", "workload", None)


def test_the_token_says_who_for_whom_where_and_for_which_call(
    calls: Calls, alice: Principal, clock: ManualClock
) -> None:
    assert claims_of(mint(calls, alice)) == {
        "iss": "holdpoint",
        "aud": ["holdpoint:prod", "holdpoint:stage"],
        "sub": "u-alice",
        "sub_iss": "https://idp.test",
        "act": {
            "sub": "mcp-server:notes",
            "iss": "holdpoint",
            "act": {"sub": "agent-7", "act": {"sub": "agent-0"}},
        },
        "call": "ex-1",
        "iat": int(clock.now()),
        "exp": int(clock.now() + 120),
    }


def test_a_caller_without_an_agent_is_a_leg_of_his_own(calls: Calls, alice: Principal) -> None:
    found = calls.verify(mint(calls, replace(alice, actor=None)), "prod")
    assert found.actor == Actor("mcp-server:notes", ISSUER)
    assert found.legs[0].actor is None


@pytest.mark.threat("T53")
def test_a_token_counts_for_a_moment_after_its_call_and_then_never_again(
    calls: Calls, alice: Principal, clock: ManualClock
) -> None:
    token = mint(calls, alice)
    calls.end("ex-1")
    clock.advance(GRACE - 0.1)
    assert calls.verify(token, "prod").call == "ex-1"
    clock.advance(0.1)
    assert "its call is over" in refused(calls, token)
    mint(calls, alice, "ex-2")
    assert len(calls) == 1
    refused(calls, token)


def test_ending_a_call_twice_does_not_prolong_its_token(calls: Calls, alice: Principal, clock: ManualClock) -> None:
    token = mint(calls, alice)
    calls.end("ex-1")
    clock.advance(GRACE - 0.1)
    calls.end("ex-1")
    clock.advance(0.1)
    refused(calls, token)


@pytest.mark.threat("T53")
def test_a_token_ends_while_its_call_goes_on(calls: Calls, alice: Principal, clock: ManualClock) -> None:
    token = mint(calls, alice)
    clock.advance(120)
    refused(calls, token)


def test_a_token_ends_with_that_of_its_caller(calls: Calls, alice: Principal, clock: ManualClock) -> None:
    token = mint(calls, replace(alice, expires_at=clock.now() + 10))
    assert calls.verify(token, "prod").expires_at == clock.now() + 10
    clock.advance(10)
    refused(calls, token)


@pytest.mark.threat("T53")
def test_a_token_opens_no_cluster_that_it_was_not_made_for(calls: Calls, alice: Principal) -> None:
    assert "not for target `other`" in refused(calls, mint(calls, alice), "other")


@pytest.mark.threat("T53")
def test_a_signature_alone_opens_nothing(ring: KeyRing, calls: Calls, alice: Principal, clock: ManualClock) -> None:
    other = Calls(ring, clock)
    stolen_key = other.mint(alice, server="notes", clusters=CLUSTERS, exchange="ex-1", lifetime=100)
    refused(calls, stolen_key)
    mint(calls, alice)
    assert "not made for this call" in refused(calls, stolen_key)


def test_a_token_of_another_key_is_refused(tmp_path: Path, calls: Calls, alice: Principal, clock: ManualClock) -> None:
    stranger = Calls(ring_of(tmp_path / "other", "calls-1"), clock)
    assert "signature" in refused(calls, mint(stranger, alice))
    unknown = Calls(ring_of(tmp_path / "third", "calls-9"), clock)
    assert "not signed by a key" in refused(calls, mint(unknown, alice))


def test_what_is_no_token_is_refused(calls: Calls, alice: Principal) -> None:
    token = mint(calls, alice)
    refused(calls, "nothing")
    refused(calls, token[:-4])
    refused(calls, token + "x")
    assert not calls.is_ours("eyJhbGciOiJSUzI1NiJ9.e30.x")
    assert calls.is_ours(token)


def test_tokens_of_an_older_key_count_while_it_is_in_the_ring(
    tmp_path: Path, alice: Principal, clock: ManualClock
) -> None:
    old = ring_of(tmp_path, "calls-1")
    both = ring_of(tmp_path, "calls-1", "calls-2", active="calls-2")
    calls = Calls(old, clock)
    token = mint(calls, alice)
    rotated = Calls(both, clock)
    assert rotated.is_ours(token)
    assert set(both.ring) == {"calls-1", "calls-2"}
    assert rotated.is_ours(mint(rotated, alice))


def test_without_a_key_no_token_is_made_and_none_is_ours(alice: Principal, clock: ManualClock) -> None:
    calls = Calls(None, clock)
    assert not calls.is_ours("anything")
    with pytest.raises(GatewayFault):
        mint(calls, alice)


def test_one_call_gets_one_token(calls: Calls, alice: Principal) -> None:
    mint(calls, alice)
    with pytest.raises(GatewayFault):
        mint(calls, alice)


def test_too_many_calls_under_way_are_refused(calls: Calls, alice: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "MOST", 1)
    mint(calls, alice)
    with pytest.raises(Refusal) as caught:
        mint(calls, alice, "ex-2")
    assert caught.value.kind is RefusalKind.UNAVAILABLE


def test_a_call_lists_the_requests_that_served_it(calls: Calls, alice: Principal) -> None:
    mint(calls, alice)
    calls.note("ex-1", "ex-a")
    calls.note("ex-1", "ex-b")
    calls.note("ex-unknown", "ex-c")
    assert calls.requests("ex-1") == ("ex-a", "ex-b")
    assert calls.requests("ex-unknown") == ()


def test_whoever_waits_for_the_end_of_a_call_is_told(calls: Calls, alice: Principal) -> None:
    told: list[str] = []
    calls.on_end = told.append
    mint(calls, alice)
    calls.end("ex-1")
    calls.end("ex-unknown")
    assert told == ["ex-1"]
