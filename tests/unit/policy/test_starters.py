import re
import time
from pathlib import Path

import pytest

from holdpoint.domain.access import Protocol
from holdpoint.policy import benchmark
from holdpoint.policy.bundle import load_bundle
from holdpoint.policy.checks import check
from holdpoint.policy.testing import run_tests

POLICIES = Path(__file__).parents[3] / "policies"
TARGETS = {"demo": Protocol.MCP, "mcp-example": Protocol.MCP, "cluster-example": Protocol.KUBERNETES}
STARTERS = ["demo", "read-only-agents", "developers", "on-call", "approvals"]
CLUSTER = ["read-only", "developers", "on-call"]
"""Files of policies/kubernetes that are listed beside its guardrails."""
GUARDRAILS = POLICIES / "kubernetes" / "guardrails.yaml"
MASKS = sorted((POLICIES / "masks").glob("*.yaml"))


@pytest.mark.parametrize("name", STARTERS)
def test_starter_policy_loads_and_its_tests_pass(name):
    files = [POLICIES / f"{name}.yaml", *MASKS]
    assert check(files, TARGETS) == []
    report = run_tests(load_bundle(files, targets=TARGETS), [POLICIES / "tests" / f"{name}.yaml"])
    assert report.passed, "\n".join(report.lines())
    assert report.untested == ()


def test_every_test_file_belongs_to_a_starter():
    assert sorted(p.stem for p in (POLICIES / "tests").glob("*.yaml")) == sorted(STARTERS)
    of_clusters = sorted(p.stem for p in (POLICIES / "tests" / "kubernetes").glob("*.yaml"))
    assert (
        of_clusters
        == sorted(p.stem for p in (POLICIES / "kubernetes").glob("*.yaml"))
        == sorted([*CLUSTER, "guardrails"])
    )


@pytest.mark.threat("T42")
@pytest.mark.parametrize("name", ["guardrails", *CLUSTER])
def test_rules_for_clusters_load_and_their_tests_pass(name):
    files = list({GUARDRAILS, POLICIES / "kubernetes" / f"{name}.yaml"})
    assert check([*files, *MASKS], TARGETS) == []
    report = run_tests(
        load_bundle([*files, *MASKS], targets=TARGETS), [POLICIES / "tests" / "kubernetes" / f"{name}.yaml"]
    )
    assert report.passed, "\n".join(report.lines())
    assert [str(r) for r in report.untested if r.policy == f"kubernetes-{name}"] == []


def test_rules_for_clusters_can_be_listed_together():
    files = [GUARDRAILS, *(POLICIES / "kubernetes" / f"{name}.yaml" for name in CLUSTER)]
    assert check([*files, *MASKS], TARGETS) == []


def test_every_guardrail_stands_in_the_reference():
    page = (POLICIES.parent / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")
    bundle = load_bundle([GUARDRAILS, *MASKS], targets=TARGETS)
    assert [r.ref.rule for p in bundle.policies for r in p.rules if f"`{r.ref.rule}`" not in page] == []


def test_examples_of_the_reference_load_and_pass(tmp_path):
    page = (POLICIES.parent / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")
    names = ("policy", "reviewers", "delegations", "profiles", "tests")
    files = [tmp_path / f"{name}.yaml" for name in names]
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for file, block in zip(files, blocks, strict=True):
        file.write_text(block, encoding="utf-8")
    report = run_tests(load_bundle([*files[:-1], *MASKS], targets=TARGETS), files[-1:])
    assert report.passed, "\n".join(report.lines())


def test_benchmark_measures_a_decision_that_reaches_every_condition(tmp_path):
    bundle = benchmark.load(tmp_path)
    rules = [r for p in bundle.policies for r in p.rules]
    assert (len(rules), sum(bool(r.conditions) for r in rules)) == (benchmark.RULES, benchmark.WITH_CEL)
    seconds = benchmark.measure(bundle, time.perf_counter, rounds=100)
    assert len(seconds) == 100
    assert benchmark.report(seconds).startswith("policy: 30 rules, 10 with CEL: median ")


def test_rules_of_the_how_to_load(tmp_path):
    page = (POLICIES.parent / "docs" / "how-to" / "write-a-policy-for-a-cluster.md").read_text(encoding="utf-8")
    blocks = [b for b in re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if b.startswith("- name")]
    rules = "".join(f"  {line}\n" for block in blocks for line in block.splitlines())
    head = "apiVersion: holdpoint/v1\nkind: Policy\nmetadata: {name: p}\ntargets: [cluster-example]\nrules:\n"
    (tmp_path / "p.yaml").write_text(head + rules, encoding="utf-8")
    assert len(blocks) == 3
    assert check([tmp_path / "p.yaml", *MASKS], TARGETS) == []
