"""Policies that change while the gateway runs: a broken bundle never replaces a good one."""

import signal
from collections.abc import Iterator

import pytest
from tests.fakes.audit_trail import trail, until_written
from tests.fakes.world import World, call

from holdpoint.admin.errors import AdminError

pytestmark = [pytest.mark.e2e, pytest.mark.failure("F-bundle-reload")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), json_response=True, stateless=True) as world:
        world.start()
        yield world


def may_drop(world: World) -> bool:
    with world.client() as http:
        answer = http.post(world.url, headers=world.headers(), json=call("drop_everything"))
    return "error" not in answer.json()


def may_list(world: World) -> bool:
    with world.client() as http:
        answer = http.post(world.url, headers=world.headers(), json=call("list_notes"))
    return "error" not in answer.json()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("effect: deny", "efect: deny", id="typo"),
        pytest.param("metadata: {name: demo}", "metadata: {name: demo", id="no-yaml"),
        pytest.param("mask: [credentials, personal-data]", "mask: [no-such-profile]", id="unknown-mask"),
        pytest.param("reason: nobody", "when: resource.nmae == 'x'\n    reason: nobody", id="condition"),
        pytest.param("targets: [demo]", "targets: [elsewhere]", id="unknown-target"),
        pytest.param(
            "mask: [credentials, personal-data]",
            "mask: [credentials]\n    credential: nowhere",
            marks=pytest.mark.failure("F-credential-missing"),
            id="unknown-credential",
        ),
        pytest.param(None, None, id="missing"),
    ],
)
async def test_a_broken_bundle_changes_nothing_and_is_told(world: World, old: str | None, new: str | None) -> None:
    policy = world.policies / "demo.yaml"
    good = policy.read_text()
    written = len(trail(world.var / "recordings"))
    before = (await world.admin().call("status", {}))["bundle"]
    try:
        if old is None:
            policy.unlink()
        else:
            assert old in good
            policy.write_text(good.replace(old, new, 1))
        with pytest.raises(AdminError) as refused:
            await world.admin().call("policy.reload", {})
        assert refused.value.code == "bad_policy"
        assert "demo.yaml" in str(refused.value)
        assert "the old policies stay in force" in str(refused.value)
        assert (await world.admin().call("status", {}))["bundle"] == before
        assert may_list(world)
        assert not may_drop(world)
        event = until_written(world.var / "recordings", after=written, stage="Reloaded")
        assert event["detail"]["from"] == before
        assert "demo.yaml" in event["detail"]["refused"]
    finally:
        policy.write_text(good)


def test_a_broken_bundle_is_told_on_hangup_too(world: World) -> None:
    policy = world.policies / "demo.yaml"
    good = policy.read_text()
    try:
        policy.write_text(good.replace("effect: deny", "efect: deny", 1))
        assert world.gateway is not None
        world.gateway.process.send_signal(signal.SIGHUP)
        said = world.gateway.wait_for("policies not reloaded")
        assert "unknown key `efect`" in said
        assert may_list(world)
    finally:
        policy.write_text(good)


async def test_a_good_bundle_is_in_force_at_once_and_written_down_first(world: World) -> None:
    policy = world.policies / "demo.yaml"
    good = policy.read_text()
    try:
        policy.write_text(good.replace("tools: [list_notes, ", "tools: [", 1))
        bundle = (await world.admin().call("policy.reload", {}))["bundle"]
        assert not may_list(world)
        changes = [e["detail"] for e in trail(world.var / "recordings") if e["stage"] == "Reloaded"]
        assert changes[-1]["to"] == bundle
    finally:
        policy.write_text(good)
        await world.admin().call("policy.reload", {})
    assert may_list(world)
