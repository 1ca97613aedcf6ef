import asyncio
import json
import sys
from pathlib import Path

import httpx
import pytest
from tests.fakes.issuer import FakeIssuer
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.identity.fetch import fetch
from holdpoint.identity.verify import Verifier

ROOT = Path(__file__).parents[3]


async def ask(idp: FakeIssuer, **form: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{idp.url}/token", data=form)


async def test_agent_gets_a_token_that_the_gateway_accepts(idp: FakeIssuer, clock: ManualClock):
    answer = await ask(
        idp, grant_type="client_credentials", client_id="agent", client_secret="agent-secret", resource="https://gw"
    )
    verifier = Verifier([settings_for(idp, algorithms=frozenset({"ES256"}), workload_subjects=("agent",))], clock)
    token = answer.json()["access_token"]
    principal = await verifier.verify(token, audiences=frozenset({"https://gw"}), issuers=frozenset())
    await verifier.close()
    assert (principal.subject, principal.kind, principal.groups) == ("agent", "workload", {"agents"})


@pytest.mark.parametrize(
    ("form", "error"),
    [
        pytest.param({"client_secret": "wrong"}, "invalid_client", id="wrong secret"),
        pytest.param({}, "invalid_client", id="no secret"),
        pytest.param({"client_id": "holdpoint-cli"}, "unauthorized_client", id="client without the grant"),
        pytest.param({"client_id": "nobody"}, "invalid_client", id="unknown client"),
    ],
)
async def test_agent_without_its_secret_gets_nothing(idp: FakeIssuer, form: dict[str, str], error: str):
    answer = await ask(idp, **({"grant_type": "client_credentials", "client_id": "agent"} | form))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"redirect_uri": "http://evil.example/callback"}, id="another host"),
        pytest.param({"redirect_uri": "http://127.0.0.1:9@evil.example/callback"}, id="user part"),
        pytest.param({"redirect_uri": "http://127.0.0.1:9/other"}, id="another path"),
        pytest.param({"code_challenge_method": "plain"}, id="PKCE plain"),
        pytest.param({"code_challenge": ""}, id="no PKCE"),
        pytest.param({"response_type": "token"}, id="implicit"),
        pytest.param({"client_id": "nobody"}, id="unknown client"),
    ],
)
async def test_unsafe_authorization_request_is_refused(idp: FakeIssuer, change: dict[str, str]):
    good = {
        "client_id": "holdpoint-cli",
        "redirect_uri": "http://127.0.0.1:9/callback",
        "response_type": "code",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{idp.url}/authorize", params=good)).status_code == 200
        assert (await client.get(f"{idp.url}/authorize", params=good | change)).status_code == 400


@pytest.mark.e2e
async def test_issuer_runs_as_a_program(tmp_path: Path):
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"users": [], "clients": []}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.issuer", "--port", "0", "--users", str(users),
        cwd=ROOT, env={"PYTHONPATH": "addons"}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("FOR TESTS AND THE DEMO ONLY: http://127.0.0.1:")
        assert b'"keys"' in await fetch(line.split()[-1] + "/jwks")
    finally:
        process.kill()
        await process.wait()
