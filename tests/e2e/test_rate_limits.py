"""How often a rule lets a caller call: told so that clients can wait, and counted for each caller and tool."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.echo_mcp import EchoMcp, gateway_of
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: limited}
targets: [limited]
rules:
  - name: some-a-minute
    effect: allow
    match: {verbs: [tools/call], tools: [hammer, saw]}
    limits: {calls_per_minute: 2}
  - name: once-a-session
    effect: allow
    match: {verbs: [tools/call], tools: [dynamite]}
    limits: {calls_per_session: 1}
"""
TARGET = """\
  - name: limited
    protocol: mcp
    url: {url}
    routes: [/mcp/limited]
    credential: {{kind: none}}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[EchoMcp]:
    with EchoMcp() as started:
        yield started


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, upstream: EchoMcp) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("limited")
    with gateway_of(folder, "limited", policy=POLICY, target=TARGET.format(url=upstream.url)) as world:
        yield world


def ask(world: World, who: str, message: object, **headers: str) -> httpx.Response:
    with world.client() as client:
        return client.post(
            f"{world.base}/mcp/limited",
            headers=world.headers(world.token(sub=f"u-{who}"), **headers),
            content=json.dumps(message),
        )


def modern(tool: str) -> tuple[dict[str, Any], dict[str, str]]:
    message = call(tool)
    message["params"]["_meta"] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return message, {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": tool}


def test_a_call_too_many_is_told_when_it_may_come_again_and_never_arrives(limited: World, upstream: EchoMcp) -> None:
    message, headers = modern("hammer")
    assert [ask(limited, "ann", message, **headers).status_code for _ in range(2)] == [200, 200]
    before = len(upstream.seen)
    refused = ask(limited, "ann", message, **headers)
    assert (refused.status_code, len(upstream.seen)) == (429, before)
    assert 0 < int(refused.headers["retry-after"]) <= 60
    error = refused.json()["error"]
    assert (error["code"], error["data"]["kind"]) == (4290, "rate_limited")
    assert error["data"]["retryAfter"] == int(refused.headers["retry-after"])


def test_another_tool_and_another_caller_have_calls_of_their_own(limited: World) -> None:
    hammer, to_hammer = modern("hammer")
    saw, to_saw = modern("saw")
    for _ in range(2):
        assert ask(limited, "bob", hammer, **to_hammer).status_code == 200
    assert ask(limited, "bob", hammer, **to_hammer).status_code == 429
    assert ask(limited, "bob", saw, **to_saw).status_code == 200
    assert ask(limited, "cid", hammer, **to_hammer).status_code == 200


def test_a_legacy_client_is_told_by_status_and_answer(limited: World) -> None:
    for _ in range(2):
        assert "result" in ask(limited, "dan", call("hammer")).json()
    refused = ask(limited, "dan", call("hammer"))
    assert (refused.status_code, refused.json()["error"]["data"]["kind"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0


def test_members_of_a_batch_are_calls_of_their_own(limited: World, upstream: EchoMcp) -> None:
    three = [call("hammer", request_id=n) for n in (1, 2, 3)]
    before = len(upstream.seen)
    with limited.client() as client:
        headers = limited.headers(limited.token(sub="u-eve"))
        del headers["mcp-protocol-version"]
        answers = client.post(f"{limited.base}/mcp/limited", headers=headers, content=json.dumps(three)).json()
    assert [a["error"]["data"]["kind"] for a in answers] == ["rate_limited"] * 3
    assert len(upstream.seen) == before


def test_once_a_session_is_once(limited: World) -> None:
    message, headers = modern("dynamite")
    assert ask(limited, "fay", message, **headers).status_code == 200
    refused = ask(limited, "fay", message, **headers)
    assert (refused.status_code, "retry-after" in refused.headers) == (429, False)
