"""`holdpoint token` on a machine without settings, with a certified provider that is not ours."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.node_parts import NODE, need
from tests.fakes.person import AtTerminal, command_line, log_in
from tests.fakes.processes import Program, free_port

pytestmark = pytest.mark.e2e
RESOURCE = "https://gateway.example/k8s/prod"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    need("oidc-provider")
    port = free_port()
    provider = Program(["node", "provider.mjs", str(port), RESOURCE], cwd=NODE)
    try:
        provider.wait_for("provider at")
        yield f"http://127.0.0.1:{port}"
    finally:
        provider.stop()


def ask(folder: Path, issuer: str, *, interactive: bool) -> AtTerminal:
    info = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {"interactive": interactive},
    }
    command = [str(command_line(folder)), "token", "--no-browser", "--issuer-url", issuer]
    command += ["--client-id", "holdpoint-cli", "--resource", RESOURCE, "--scope", "openid", "--algorithm", "RS256"]
    env = {"HOLDPOINT_TOKENS": str(folder / "tokens"), "HOME": str(folder), "KUBERNETES_EXEC_INFO": json.dumps(info)}
    return AtTerminal(command, {"PATH": "/usr/bin:/bin", **env}, folder)


def claims_of(credential: str) -> dict[str, Any]:
    payload = json.loads(credential)["status"]["token"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims


def test_a_login_gives_a_credential_and_a_refresh_the_next(tmp_path: Path, issuer: str) -> None:
    with ask(tmp_path, issuer, interactive=True) as asked:
        log_in(asked.says("log in at"))
        status, first, err = asked.ends()
    assert status == 0, err
    assert (claims_of(first)["aud"], claims_of(first)["sub"]) == (RESOURCE, "u-alice")
    # It has less than a minute left, so that the next call uses the refresh token, and needs nobody.
    with ask(tmp_path, issuer, interactive=False) as again:
        status, second, err = again.ends()
    assert status == 0, err
    assert claims_of(second)["aud"] == RESOURCE
    assert claims_of(second)["jti"] != claims_of(first)["jti"]
    kept = list((tmp_path / "tokens").glob("*.json"))
    assert [file.stat().st_mode & 0o777 for file in kept] == [0o600]


def test_nobody_logged_in_and_nobody_here_is_said(tmp_path: Path, issuer: str) -> None:
    with ask(tmp_path, issuer, interactive=False) as asked:
        status, out, err = asked.ends()
    assert (status, out) == (1, "")
    assert "nobody is logged in, and nobody is here to: run `holdpoint login --issuer-url" in err
