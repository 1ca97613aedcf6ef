"""A certified identity provider that is not ours: its RFC 9068 access tokens open the gateway, others of its do not."""

from collections.abc import Iterator

import httpx
import pytest
from tests.fakes.node_parts import NODE, need
from tests.fakes.processes import Program, free_port
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, int]]:
    need("oidc-provider")
    port = free_port()
    world = World(tmp_path_factory.mktemp("npm"), json_response=True, stateless=True)
    issuer = (
        f"issuers:\n  - name: npm\n    url: http://127.0.0.1:{port}\n    algorithms: [RS256]\n"
        f'    audiences: ["{world.url}"]\n'
        '    workloads: {subjects: ["agent-*"], owners: {"agent-*": ["alice@corp.example"]}}\n'
        "  - name: test\n"
    )
    world.write_settings(**{"issuers:\n  - name: test\n": issuer})
    provider = Program(["node", "provider.mjs", str(port), world.url], cwd=NODE)
    try:
        provider.wait_for("provider at")
        with world:
            world.start()
            yield world, port
    finally:
        provider.stop()


def ask_for_token(port: int, **more: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.post(
            f"http://127.0.0.1:{port}/token",
            data={"grant_type": "client_credentials", **more},
            auth=("agent-from-npm", "invented-secret-of-the-agent"),
        )


def test_its_access_token_opens_the_gateway(world: tuple[World, int]) -> None:
    gateway, port = world
    token = ask_for_token(port, resource=gateway.url, scope="call").json()["access_token"]
    with gateway.client() as http:
        answer = http.post(gateway.url, headers=gateway.headers(token), json=call("list_notes"))
    assert answer.status_code == 200, answer.text
    assert "runbook" in answer.text or "welcome" in answer.text


def test_its_opaque_token_does_not(world: tuple[World, int]) -> None:
    gateway, port = world
    granted = ask_for_token(port).json()
    before = len(gateway.notes.seen.requests)
    with gateway.client() as http:
        answer = http.post(gateway.url, headers=gateway.headers(granted["access_token"]), json=call("list_notes"))
    assert answer.status_code == 401
    assert len(gateway.notes.seen.requests) == before


def test_a_token_of_an_issuer_that_is_not_configured_does_not(world: tuple[World, int]) -> None:
    gateway, _ = world
    other = free_port()
    provider = Program(["node", "provider.mjs", str(other), "http://127.0.0.1:1/elsewhere"], cwd=NODE)
    try:
        provider.wait_for("provider at")
        token = ask_for_token(other, resource="http://127.0.0.1:1/elsewhere", scope="call").json()["access_token"]
    finally:
        provider.stop()
    with gateway.client() as http:
        answer = http.post(gateway.url, headers=gateway.headers(token), json=call("list_notes"))
    assert answer.status_code == 401
