"""A gateway that tells people: a signed webhook, a message in Slack and what is pressed there, a kill in between."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.notice_receivers import SECRET, SIGNING_SECRET, Receiver, pressed, slack_headers, verified
from tests.fakes.processes import Program
from tests.fakes.world import World, call

pytestmark = [pytest.mark.e2e]

NOTICES = """\
notices:
  - name: hook
    kind: webhook
    for: reviewers
    url: {hook}/in
    secret: {{env: HOOK_SECRET}}
  - name: alarms
    kind: webhook
    for: operators
    url: {hook}/alarms
    secret: {{env: HOOK_SECRET}}
  - name: chat
    kind: slack
    for: reviewers
    webhook_url: {{env: SLACK_URL}}
    signing_secret: {{env: SIGN}}
    people: {{U123: {{person: rita@corp.example, groups: [reviewers]}}, U456: alice@corp.example}}
"""


class Told(World):
    """A world in which people are told."""

    MORE = NOTICES
    hook: Receiver
    slack: Receiver

    def values(self) -> dict[str, object]:
        return {**super().values(), "hook": self.hook.url}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Told]:
    with Receiver() as hook, Receiver() as slack:
        Told.hook, Told.slack = hook, slack
        secrets = {"HOOK_SECRET": SECRET, "SLACK_URL": f"{slack.url}/services/T0/B0/x", "SIGN": SIGNING_SECRET}
        with Told(tmp_path / "world", json_response=True, stateless=True, env=secrets) as world:
            world.start()
            yield world


def events(receiver: Receiver, number: int) -> list[dict[str, Any]]:
    return [verified(got) for got in receiver.inbox.wait(number)]


def write(world: Told, name: str) -> dict[str, Any]:
    with world.client() as client:
        headers = world.headers(world.token(groups=["developers"], email="alice@corp.example"))
        answer = client.post(world.url, headers=headers, json=call("write_note", {"name": name, "text": "s3cret text"}))
        found: dict[str, Any] = answer.json()
        return found


@pytest.mark.threat("T81")
def test_people_are_told_and_one_denies_in_slack(world: Told) -> None:
    console = Program([sys.executable, "-m", "holdpoint.cli", "--config", str(world.settings_file), "console"])
    try:
        console.wait_for("holdpoint: the console is at")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(write, world, "from-slack")
            (held,) = events(world.hook, 1)
            assert held["type"] == "dev.holdpoint.approval.held"
            approval = held["subject"]
            assert held["data"]["link"] == f"http://127.0.0.1:{world.console}/requests/{approval}"
            (message,) = world.slack.inbox.wait(1)
            assert message.json["blocks"][-1]["elements"][1]["value"] == approval
            assert not asked.done()

            url = f"http://127.0.0.1:{world.console}/slack/actions"
            forged, own, right = pressed(approval), pressed(approval, "U456"), pressed(approval)
            with httpx.Client(trust_env=False) as slack:
                statuses = [
                    slack.post(url, content=forged, headers=slack_headers(forged, secret="guessed")).status_code,
                    slack.post(url, content=own, headers=slack_headers(own)).status_code,
                    slack.post(url, content=right, headers=slack_headers(right)).status_code,
                    slack.post(url, content=right, headers=slack_headers(right)).status_code,
                ]
            assert statuses == [401, 403, 200, 401]
            answer = asked.result(timeout=30)
        assert "denied this: rita@corp.example: in Slack" in json.dumps(answer)
        assert world.notes.seen.calls.count("write_note from-slack") == 0
        resolved = events(world.hook, 2)[1]
        assert (resolved["type"], resolved["data"]["state"]) == ("dev.holdpoint.approval.resolved", "denied")
        assert resolved["data"]["by"] == ["rita@corp.example"]
        assert not [g for g in world.hook.inbox.got + world.slack.inbox.got if b"s3cret" in g.body]
    finally:
        console.stop()
    world.slack.inbox.wait(2)
    assert world.gateway is not None
    world.gateway.stop()
    notified = [e["detail"] for e in world.audited() if e["stage"] == "Notified"]
    assert sorted((d["sink"], d["event"], d["outcome"]) for d in notified) == [
        ("chat", "held", "delivered"),
        ("chat", "resolved", "delivered"),
        ("hook", "held", "delivered"),
        ("hook", "resolved", "delivered"),
    ]


@pytest.mark.failure("F-notices-kill")
def test_a_notice_outlives_a_kill_and_keeps_its_id(world: Told) -> None:
    world.hook.inbox.script = ["500"] + ["hang"] * 50
    assert world.gateway is not None
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(write, world, "outlives")
        (first,) = world.hook.inbox.wait(1)
        world.gateway.wait_for("did not reach sink `hook`, trying again: it answered 500")
        world.gateway.stop(signal.SIGKILL)
        with pytest.raises(httpx.HTTPError):
            asked.result(timeout=30)
    world.hook.inbox.script = []
    world.start()
    again = world.hook.inbox.wait(2)[-1]
    assert again.headers["webhook-id"] == first.headers["webhook-id"]
    assert verified(again) == verified(first)


def test_operators_hear_of_denials_once_the_gateway_ends_at_the_latest_and_the_terminal_tests_a_sink(
    world: Told,
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "holdpoint.cli", "--config", str(world.settings_file), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    tested = run("notices", "test", "alarms")
    assert (tested.returncode, tested.stdout) == (0, "sink alarms took it\n"), tested.stderr
    assert [e["type"] for e in events(world.hook, 1)] == ["dev.holdpoint.test"]
    world.hook.inbox.script = ["404"]
    assert "it answered 404" in run("notices", "test", "alarms").stderr
    with world.client() as client:
        headers = world.headers(world.token(groups=["developers"], email="alice@corp.example"))
        for _ in range(3):
            client.post(world.url, headers=headers, json=call("drop_everything"))
    assert world.gateway is not None
    world.gateway.stop()
    world.start()
    denied = events(world.hook, 3)[-1]
    assert (denied["type"], denied["data"]["count"]) == ("dev.holdpoint.denied", 3)
    assert denied["data"]["rules"] == ["demo/no-destruction"]
    listed = run("notices", "list", "--json")
    assert [n["event"] for n in json.loads(listed.stdout)["notices"]] == ["denied"]
    assert run("notices", "list").stdout.splitlines()[0].startswith("ID")
