"""The arithmetic of `scripts/bench`. What it measures is nobody's test."""

import pytest
from tests.benchmarks.figures import Figures, as_json, budgets, growth, point, report
from tests.benchmarks.parts import percentile

PARTS = {"masking": {"clean_ns_per_byte": 9.0, "with_secrets_ns_per_byte": 16.0}}


def measured(bare: float, pipeline: float) -> tuple[Figures, Figures]:
    return Figures(bare, 1.0, 2.0, 1.0), Figures(pipeline, 1.25, 4.0, 1.5)


def test_a_ratio_is_the_middle_of_the_ratios_of_the_rounds():
    # The machine was twice as fast in the second round: figures of different rounds are never compared.
    found = point([measured(100, 90), measured(200, 160), measured(100, 85)])
    assert found.ratio == 0.85
    assert found.ratios == (0.9, 0.8, 0.85)
    assert (found.added_median_ms, found.added_p99_ms, found.cpu_ratio) == (0.25, 2.0, 1.5)


@pytest.mark.parametrize(
    ("samples", "each"),
    [
        pytest.param([(0, 0), (100, 900), (200, 900), (300, 900)], 0.0, id="flat after it warmed up"),
        pytest.param([(0, 0), (100, 0), (200, 1_000), (300, 2_000)], 10.0, id="grows"),
        pytest.param([(100, 5)], 0.0, id="one sample says nothing"),
    ],
)
def test_growth_is_that_of_the_second_half(samples, each):
    assert growth(samples) == each


def test_a_percentile_of_one_value_is_that_value():
    assert percentile([3.0], 0.99) == 3.0


def test_every_budget_has_a_line_that_says_whether_it_was_met():
    points = {"http-get": {1: point([measured(100, 90)]), 16: point([measured(100, 110)])}}
    memory = [(50_000, 1_000), (150_000, 2_000)]
    found = budgets(points, PARTS, memory)
    lines = report(points, PARTS, memory, found).splitlines()
    verdicts = [line.split()[0] for line in lines if line.startswith(("met", "MISSED"))]
    assert verdicts == ["MISSED", "met", "met", "MISSED", "met", "MISSED", "met"]


def test_memory_is_not_judged_while_it_warms_up():
    judged = [len(budgets({}, PARTS, [(1, 1), (last, 10**9)])) for last in (99_999, 100_000)]
    assert judged == [2, 3]


def test_the_file_holds_bare_pipeline_and_ratio_of_a_profile():
    points = {1: point([measured(100, 90)]), 16: point([measured(100, 110)])}
    found = as_json(points, 16)
    assert found["ratio"] == 1.1
    assert found["bare"]["rps"] == 100
    assert found["connections"]["1"]["ratio"] == 0.9
