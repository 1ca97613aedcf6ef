"""Who may ask a cluster without a tool call, and what ends with one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.policies import ADA, ask
from tests.unit.stages.test_live import stream

from holdpoint.clock import ManualClock
from holdpoint.domain.access import Actor, KubeObject, Principal, Protocol
from holdpoint.domain.exchange import Decoded, Identified, Received
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.calls import GRACE, Calls
from holdpoint.keys import open_call_keys
from holdpoint.passes import is_forwardable
from holdpoint.settings import Keys, SigningKey, Target, Unlinked
from holdpoint.stages.identity import refuse_unlinked
from holdpoint.stages.linked import end_with_calls, refuse_late
from holdpoint.stages.live import LiveStreams

AGENT = replace(ADA, actor=Actor("agent-7"))
BOT = replace(ADA, kind="workload", person=None)
LINKED = replace(AGENT, call="ex-0")


def target(unlinked: Unlinked, protocol: Protocol = Protocol.KUBERNETES) -> Target:
    return Target("cluster", protocol, "https", "k8s.test", 443, "", unlinked=unlinked)


@pytest.mark.threat("T54")
@pytest.mark.parametrize(
    ("unlinked", "who", "passes"),
    [
        pytest.param(Unlinked.DENY, ADA, False, id="deny, human"),
        pytest.param(Unlinked.DENY, AGENT, False, id="deny, agent"),
        pytest.param(Unlinked.DENY, BOT, False, id="deny, workload"),
        pytest.param(Unlinked.DENY, LINKED, True, id="deny, tool call"),
        pytest.param(Unlinked.HUMANS, ADA, True, id="humans, human"),
        pytest.param(Unlinked.HUMANS, AGENT, False, id="humans, agent"),
        pytest.param(Unlinked.HUMANS, BOT, False, id="humans, workload"),
        pytest.param(Unlinked.HUMANS, LINKED, True, id="humans, tool call"),
        pytest.param(Unlinked.POLICY, BOT, True, id="policy, workload"),
    ],
)
def test_who_serves_no_tool_call_passes_as_the_target_says(unlinked: Unlinked, who: Principal, passes: bool) -> None:
    if passes:
        refuse_unlinked(target(unlinked), who)
        return
    with pytest.raises(Refusal) as caught:
        refuse_unlinked(target(unlinked), who)
    assert caught.value.kind is RefusalKind.DENIED


def test_other_protocols_know_no_tool_calls_to_serve() -> None:
    refuse_unlinked(target(Unlinked.DENY, Protocol.HTTP), BOT)


@pytest.mark.threat("T55")
@pytest.mark.parametrize(
    "name",
    [
        *("Impersonate-User", "impersonate-extra-a", "Impersonate_Group", "Impersonate.User"),
        *("X-Remote-User", "X-Remote-Extra-Scopes", "x_remote_group", "X.Remote.User"),
        *("X-Forwarded-For", "x-forwarded-client-cert", "Forwarded", "X.Forwarded.User"),
        *("Authorization", "Proxy-Authorization", "Cookie", "Kubernetes-Authorization"),
    ],
)
def test_no_header_that_says_who_asks_goes_on(name: str) -> None:
    assert not is_forwardable(name.encode())
    assert not is_forwardable(name.upper().encode())


def test_a_dot_alone_keeps_no_header_back() -> None:
    assert is_forwardable(b"x-example.org-trace")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def calls(tmp_path: Path, clock: ManualClock) -> Calls:
    key = SigningKey("c1", tmp_path / "c1.pem", create=True)
    keys = Keys(tmp_path / "ca", "", (), tmp_path / "digest", calls_active="c1", calls=(key,))
    return Calls(open_call_keys(keys), clock)


def linked(calls: Calls, clock: ManualClock) -> Principal:
    who = replace(ADA, expires_at=clock.now() + 600)
    token = calls.mint(who, server="ops", clusters=frozenset({"cluster"}), exchange="ex-0", lifetime=300)
    return calls.verify(token, "cluster")


@pytest.mark.threat("T53")
def test_what_a_call_opened_ends_with_it(calls: Calls, clock: ManualClock) -> None:
    waiting: list[tuple[float, Callable[[], None]]] = []
    live = LiveStreams(clock)
    end_with_calls(calls, live, later=lambda s, f: waiting.append((s, f)))
    ended: list[Refusal] = []
    others: list[Refusal] = []
    live.open(stream("ex-1", ended=ended, principal=linked(calls, clock)))
    live.open(stream("ex-2", ended=others))
    calls.end("ex-0")
    assert ended == []
    ((seconds, work),) = waiting
    assert seconds == GRACE
    work()
    assert [r.kind for r in ended] == [RefusalKind.UNAUTHENTICATED]
    assert others == []


@pytest.mark.threat("T53")
def test_no_stream_begins_when_its_call_is_over(calls: Calls, clock: ManualClock) -> None:
    def decoded(who: Principal) -> Decoded:
        received = Received("ex-1", "cluster", "routes", "127.0.0.1", clock.now(), "/")
        access: Any = replace(ask("watch", KubeObject("", "v1", "pods"), target="cluster"), principal=who)
        return Decoded(Identified(received, who), access, {})

    asked = decoded(linked(calls, clock))
    refuse_late(calls, asked)
    calls.end("ex-0")
    clock.advance(GRACE)
    with pytest.raises(Refusal):
        refuse_late(calls, asked)
    refuse_late(calls, decoded(ADA))
    refuse_late(calls, None)
