from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import write_gateway

from holdpoint.cli import main

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: files}
targets: [files]
rules:
  - {name: read, effect: allow, match: {verbs: [tools/call], tools: [read_file]}}
---
apiVersion: holdpoint/v1
kind: Masks
profiles:
  - {name: billing, keys: [card]}
"""
CREDENTIAL = "    credential: {kind: static, from: {env: FILES_TOKEN}}\n"


def check(folder: Path, *changes: tuple[str, str], policy: str = POLICY) -> int:
    file = write_gateway(folder, *changes)
    (folder / "base.yaml").write_text(policy, encoding="utf-8")
    return main(["--config", str(file), "policy", "check"])


def test_check_accepts_what_a_start_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert check(tmp_path, (CREDENTIAL, CREDENTIAL + "    masks: [billing]\n")) == 0
    assert "1 files are good" in capsys.readouterr().out


def test_check_finds_a_mask_profile_of_a_target_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert check(tmp_path, (CREDENTIAL, CREDENTIAL + "    masks: [bilings]\n")) == 1
    assert "target `files`: unknown mask profile `bilings`; known: `billing`" in capsys.readouterr().err


def test_check_finds_a_rule_that_would_send_requests_with_the_credential_of_previews(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    policy = POLICY.replace("tools: [read_file]}}", "tools: [read_file]}, credential: preview}")
    assert check(tmp_path, policy=policy) == 1
    assert "credential `preview` is for previews: no request is sent with it" in capsys.readouterr().err


def test_check_finds_a_credential_of_previews_where_nothing_can_be_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert check(tmp_path, (CREDENTIAL, CREDENTIAL + "    credentials: {preview: {kind: none}}\n")) == 1
    assert "credential `preview` is for Kubernetes targets alone" in capsys.readouterr().err


def test_check_finds_a_credential_that_the_target_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    policy = POLICY.replace("tools: [read_file]}}", "tools: [read_file]}, credential: writer}")
    assert check(tmp_path, policy=policy) == 1
    assert "target `files` has no credential `writer`" in capsys.readouterr().err
