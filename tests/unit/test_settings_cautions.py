"""What a settings file may say and its writer may not mean."""

from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import ENVIRON, write_gateway

from holdpoint.cli import main
from holdpoint.settings_file import load_settings

TWO = """\
targets:
  - name: ops
    protocol: mcp
    url: https://ops.example.com/mcp
    audiences: ["https://gateway.example.com/mcp/ops"]
    credential: {kind: per-call, for: [prod]}
  - name: prod
    protocol: kubernetes
    url: https://prod.example.com
    audiences: ["https://gateway.example.com/k8s/prod"]
    credential: {kind: none}
"""
CALLS = "  calls: {active: calls-1, ring: [{id: calls-1, file: var/keys/calls-1.pem, create: true}]}\nissuers:\n"


def cautions(folder: Path, targets: str) -> tuple[str, ...]:
    file = write_gateway(folder, ("issuers:\n  - name: corp", f"{CALLS}  - name: corp"))
    head, rest = file.read_text(encoding="utf-8").split("targets:\n")
    file.write_text(head + targets + "policies:" + rest.partition("policies:")[2], encoding="utf-8")
    return load_settings(file, ENVIRON, check_machine=False).cautions


def test_a_target_that_is_closed_by_another_s_credential_is_told_with_both_names_and_the_key(tmp_path: Path):
    [told] = cautions(tmp_path, TWO)
    assert told.startswith("target `prod` refuses everybody but tool calls of `ops`")
    assert "write `unlinked: humans`" in told


@pytest.mark.parametrize("unlinked", ["humans", "deny", "policy"])
def test_a_target_that_says_what_it_takes_needs_no_word(tmp_path: Path, unlinked: str):
    assert cautions(tmp_path, TWO + f"    unlinked: {unlinked}\n") == ()


def test_targets_that_share_an_issuer_s_audiences_are_named(tmp_path: Path):
    shared = "".join(line for line in TWO.splitlines(keepends=True) if "audiences" not in line)
    told = cautions(tmp_path, shared + "    unlinked: humans\n")
    assert [each.partition(":")[0] for each in told] == [
        "one token of issuer `corp` opens all of the targets `ops`, `prod`",
        "one token of issuer `machines` opens all of the targets `ops`, `prod`",
    ]


def test_targets_that_take_no_issuer_in_common_share_nothing(tmp_path: Path):
    apart = TWO.replace('audiences: ["https://gateway.example.com/mcp/ops"]', "issuers: [corp]")
    apart = apart.replace('audiences: ["https://gateway.example.com/k8s/prod"]', "issuers: [machines]")
    assert cautions(tmp_path, apart + "    unlinked: humans\n") == ()


def test_policy_check_tells_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = write_gateway(tmp_path)
    policy = "apiVersion: holdpoint/v1\nkind: Policy\nmetadata: {name: files}\ntargets: [files]\nrules:\n"
    rule = "  - {name: read, effect: allow, match: {verbs: [tools/call], tools: [read_file]}}\n"
    (tmp_path / "base.yaml").write_text(policy + rule, encoding="utf-8")
    assert main(["--config", str(file), "policy", "check"]) == 0
    assert "holdpoint: warning: one token of issuer `corp` opens all of the targets `files`, `web`" in (
        capsys.readouterr().err
    )
