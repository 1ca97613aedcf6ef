"""A stream ends with what let it begin."""

import asyncio
import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.policies import ADA, ask, bundle_of, policy_text

from holdpoint.clock import ManualClock
from holdpoint.domain.access import KubeObject, Protocol
from holdpoint.domain.decision import Permit
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.policy.engine import Engine
from holdpoint.settings import Target, TargetMode
from holdpoint.stages.live import NO_END, LiveStream, LiveStreams, refuse_changed
from holdpoint.stages.policies import Policies

pytestmark = [pytest.mark.threat("T44"), pytest.mark.failure("F-stream-over")]

PODS = ask("watch", KubeObject("", "v1", "pods", namespace="prod"), target="cluster")
REFUSAL = Refusal(RefusalKind.DENIED, "ended")


def stream(exchange: str = "ex-1", *, ended: list[Refusal] | None = None, **changes: Any) -> LiveStream:
    made = LiveStream(
        exchange=exchange,
        principal=ADA,
        access=PODS,
        target="cluster",
        since=1_800_000_000.0,
        until=NO_END,
        approval="",
        end=(ended if ended is not None else []).append,
    )
    return dataclasses.replace(made, **changes)


def test_stream_ends_when_its_token_expires() -> None:
    clock, ended = ManualClock(), list[Refusal]()
    live = LiveStreams(clock)
    who = dataclasses.replace(ADA, expires_at=clock.now() + 60)
    live.open(stream(ended=ended, principal=who, until=who.expires_at))
    clock.advance(59)
    assert live.tick() == 0
    clock.advance(1)
    assert live.tick() == 1
    assert [(r.kind, r.public) for r in ended] == [
        (RefusalKind.UNAUTHENTICATED, "the token expired while this stream was open")
    ]
    assert live.listed() == ()


def test_stream_ends_with_its_grant_where_that_is_sooner_than_its_token() -> None:
    clock, ended = ManualClock(), list[Refusal]()
    live = LiveStreams(clock)
    who = dataclasses.replace(ADA, expires_at=clock.now() + 600)
    live.open(stream(ended=ended, principal=who, until=clock.now() + 5, approval="ar-1"))
    clock.advance(5)
    live.tick()
    assert [r.kind for r in ended] == [RefusalKind.EXPIRED]


async def test_timer_ends_a_stream_by_itself() -> None:
    clock, told = ManualClock(), asyncio.Event()
    live = LiveStreams(clock)
    live.start()
    live.open(stream(until=clock.now(), end=lambda _why: told.set()))
    async with asyncio.timeout(5):
        await told.wait()
    await live.close()
    assert len(live) == 0


async def test_timer_hears_of_a_stream_that_ends_sooner_than_those_before() -> None:
    clock, told = ManualClock(), asyncio.Event()
    live = LiveStreams(clock)
    live.start()
    live.open(stream("ex-1", until=clock.now() + 1_000_000))
    await asyncio.sleep(0)
    live.open(stream("ex-2", until=clock.now(), end=lambda _why: told.set()))
    async with asyncio.timeout(5):
        await told.wait()
    await live.close()
    assert [s.exchange for s in live.listed()] == ["ex-1"]


def test_stream_that_ended_by_itself_is_not_ended_again() -> None:
    ended: list[Refusal] = []
    live = LiveStreams(ManualClock())
    close = live.open(stream(ended=ended))
    close()
    close()
    assert not live.end("ex-1", REFUSAL)
    assert ended == []


def test_late_close_leaves_the_next_stream_of_the_same_exchange_alone() -> None:
    live = LiveStreams(ManualClock())
    close = live.open(stream())
    live.end("ex-1", REFUSAL)
    live.open(stream())
    close()
    assert len(live) == 1


def test_exchange_has_one_stream() -> None:
    live = LiveStreams(ManualClock())
    live.open(stream())
    with pytest.raises(GatewayFault, match="has a stream already"):
        live.open(stream())


def test_operator_ends_the_streams_he_means() -> None:
    ended: list[Refusal] = []
    live = LiveStreams(ManualClock())
    live.open(stream("ex-1", ended=ended, approval="ar-1"))
    live.open(stream("ex-2", ended=ended, approval="ar-2"))
    assert live.end_where(lambda s: s.approval == "ar-2", REFUSAL) == 1
    assert ended == [REFUSAL]
    assert [s.exchange for s in live.listed()] == ["ex-1"]


def test_stream_that_cannot_be_ended_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_refusal: Refusal) -> None:
        raise ValueError

    ended: list[Refusal] = []
    live = LiveStreams(ManualClock())
    live.open(stream("ex-1", end=fail))
    live.open(stream("ex-2", ended=ended))
    assert live.end_where(lambda _s: True, REFUSAL) == 2
    assert ended == [REFUSAL]
    assert "could not be ended" in caplog.text


MASKED = "name: a, effect: allow, match: {verbs: [watch], resources: [pods]}, mask: [credentials]"
ALLOW = "name: a, effect: allow, match: {verbs: [watch], resources: [pods]}"
HOLD = "name: h, effect: hold, match: {verbs: [watch], resources: [pods]}, approval: {reviewers: [group:sre]}"
OTHER = "name: a, effect: allow, match: {verbs: [get], resources: [pods]}"


def policies(folder: Path, *rules: str) -> Policies:
    folder.mkdir()
    bundle = bundle_of(folder, policy_text(*rules, targets="cluster"))
    return Policies(bundle, Engine(bundle), b"k" * 32)


@pytest.mark.parametrize(
    ("before", "now", "ends"),
    [
        pytest.param((ALLOW,), (OTHER,), True, id="no longer allowed"),
        pytest.param((ALLOW,), (ALLOW, HOLD), True, id="held now"),
        pytest.param((ALLOW, HOLD), (ALLOW, HOLD), False, id="held as before"),
        pytest.param((ALLOW, HOLD), (ALLOW,), False, id="no longer held"),
        pytest.param((ALLOW,), (MASKED,), True, id="masked now"),
        pytest.param((MASKED,), (ALLOW,), False, id="no longer masked"),
        pytest.param((ALLOW,), (OTHER.replace("name: a", "name: b"), ALLOW), False, id="another rule beside it"),
    ],
)
def test_stream_goes_on_only_where_policy_asks_for_nothing_more(
    tmp_path: Path, before: tuple[str, ...], now: tuple[str, ...], ends: bool
) -> None:
    ended: list[Refusal] = []
    live = LiveStreams(ManualClock())
    live.open(stream(ended=ended))
    live.redecide(policies(tmp_path / "a", *before), policies(tmp_path / "b", *now), (target(),))
    assert [r.public for r in ended] == (["policy has changed"] if ends else [])
    decided = Engine(policies(tmp_path / "c", *before).bundle).decide(PODS)
    assert isinstance(decided, Permit)
    later = pytest.raises(Refusal, match="policy has changed") if ends else contextlib.nullcontext()
    with later:
        refuse_changed(PODS, decided, policies(tmp_path / "d", *now), target())


def test_stream_of_a_target_that_is_only_observed_goes_on(tmp_path: Path) -> None:
    live = LiveStreams(ManualClock())
    live.open(stream())
    observed = dataclasses.replace(target(), mode=TargetMode.OBSERVE)
    live.redecide(policies(tmp_path / "a", ALLOW), policies(tmp_path / "b", OTHER), (observed,))
    assert len(live) == 1


@pytest.mark.parametrize("by", ["rule", "target"])
def test_stream_ends_where_its_mask_profile_says_something_else(tmp_path: Path, by: str) -> None:
    live = LiveStreams(ManualClock())
    live.open(stream())
    rule, masks = (MASKED, ()) if by == "rule" else (ALLOW, ("credentials",))
    before, now = policies(tmp_path / "a", rule), policies(tmp_path / "b", rule)
    same = (dataclasses.replace(target(), masks=masks),)
    assert live.redecide(before, now, same) == 0
    changed = dict(now.bundle.masks)
    changed["credentials"] = dataclasses.replace(changed["credentials"], keys=())
    now = dataclasses.replace(now, bundle=dataclasses.replace(now.bundle, masks=changed))
    assert live.redecide(before, now, same) == 1


def target() -> Target:
    return Target("cluster", Protocol.KUBERNETES, "https", "kube.test", 6443, "")
