"""The arithmetic of `scripts/bench` for calls made in turn, and what its parts say."""

import json
from contextlib import ExitStack

import pytest
from tests.benchmarks import peers
from tests.benchmarks.events import event
from tests.benchmarks.figures import budgets, report
from tests.benchmarks.profiles import EVENT_SIZES
from tests.benchmarks.trials import BARE, DIRECT, PIPELINE, Took, trial, trial_budgets, trial_lines, trials_as_json

PARTS = {"masking": {"clean_ns_per_byte": 9.0, "with_secrets_ns_per_byte": 16.0}}


def took(milliseconds: float, cpu: float = 0.001) -> Took:
    return Took([milliseconds / 1e3] * 10, cpu)


def three_rounds(*pipeline: float):
    # The machine was half as fast in the second round.
    return [
        {DIRECT: took(1.0, 0.0), BARE: took(bare), PIPELINE: took(p, 0.003)}
        for bare, p in zip((2.0, 4.0, 2.0), pipeline, strict=True)
    ]


def test_what_a_way_adds_is_counted_within_each_round():
    found = trial("calls", three_rounds(3.0, 8.0, 3.0), budget_ms=0.5).ways
    assert found[PIPELINE].added_ms == pytest.approx(1.0)
    assert found[PIPELINE].ratio == pytest.approx(1.5)
    assert found[PIPELINE].cpu_ms == pytest.approx(3.0)
    assert (found[BARE].added_ms, found[BARE].ratio) == (0.0, 1.0)
    assert found[DIRECT].added_ms == pytest.approx(-1.0)


def test_the_99th_percentile_is_that_of_the_calls_of_all_rounds():
    slow = {BARE: took(2.0), PIPELINE: Took([0.003] * 90 + [0.5] * 10)}
    fast = {BARE: took(2.0), PIPELINE: Took([0.003] * 900)}
    found = trial("calls", [slow, fast], budget_ms=0.5).ways[PIPELINE]
    assert (found.p99_ms, found.median_ms) == (500.0, 3.0)


@pytest.mark.parametrize(
    ("added", "is_met"), [pytest.param(0.4, True, id="under"), pytest.param(0.6, False, id="over")]
)
def test_the_budget_is_of_what_the_pipeline_adds_to_bare(added, is_met):
    rounds = [{BARE: took(2.0), PIPELINE: took(2.0 + added)}]
    (budget,) = trial_budgets([trial("calls", rounds, budget_ms=0.5)])
    assert (budget.met, budget.name) == (is_met, "calls: added median")


def test_a_report_of_calls_alone_has_their_lines_and_budgets():
    trials = [trial("calls", three_rounds(3.0, 8.0, 3.0), budget_ms=0.5)]
    text = report({}, PARTS, [], budgets({}, PARTS, []) + trial_budgets(trials), trial_lines(trials))
    assert [line.split()[0] for line in text.splitlines() if "+1.00" in line] == [PIPELINE]
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("met", "MISSED"))] == [
        "met",
        "MISSED",
        "MISSED",
    ]


def test_the_file_holds_every_way_of_a_trial():
    found = json.loads(json.dumps(trials_as_json([trial("calls", three_rounds(3.0, 8.0, 3.0), budget_ms=0.5)])))
    assert set(found["calls"]["ways"]) == {DIRECT, BARE, PIPELINE}


@pytest.mark.parametrize("size", EVENT_SIZES.values())
def test_an_event_has_its_size_and_says_when_it_was_made(size):
    made = event(size)
    head, _, data = made.decode().removesuffix("\n\n").partition("\ndata: ")
    assert (len(made), head) == (size, "event: message")
    assert json.loads(data)["params"]["progress"] > 0


def test_peers_that_cannot_be_installed_are_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    monkeypatch.setattr(peers, "PINNED", ("holdpoint-has-no-such-file @ file:///nowhere/at/all.whl",))
    with pytest.raises(peers.NoPeersError, match="whl"):
        peers.environment(tmp_path / "peers")
    assert not (tmp_path / "peers" / "pinned.txt").exists()


def test_a_peer_that_does_not_start_is_said_to_be_missing(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(peers, "environment", lambda: tmp_path / "bin")
    with ExitStack() as stack, pytest.raises(peers.NoPeersError):
        peers.start_all(tmp_path, "http://127.0.0.1:1/mcp", "tool", stack)
