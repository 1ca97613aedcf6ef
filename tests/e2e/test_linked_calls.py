"""Both roads as one: MCP client, gateway, MCP server, gateway, API server."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.kube_identity import GATEWAY_TOKEN
from tests.fakes.kube_world import KubeWorld
from tests.fakes.linking_server import LinkingServer
from tests.fakes.npm_servers import kubernetes_mcp_server
from tests.fakes.processes import ROOT

from holdpoint.domain.values import as_object
from holdpoint.recording import browse

pytestmark = pytest.mark.e2e

RULES = """\
  - name: discover
    effect: allow
    match: {verbs: [get], paths: ["/*"]}
  - name: agents-and-people-read
    effect: allow
    match: {principals: {kinds: [human]}, verbs: [get, list, watch], resources: [pods, namespaces, configmaps, secrets]}
  - name: the-server-reads-less
    effect: allow
    match:
      principals: {issuers: [holdpoint], subjects: ["mcp-server:ops", "mcp-server:real"]}
      verbs: [get, list, watch, create]
      resources: [pods, namespaces, configmaps, selfsubjectaccessreviews]
  - name: people-ask-what-they-may
    effect: allow
    match: {principals: {kinds: [human]}, verbs: [create], resources: [selfsubjectaccessreviews, configmaps]}
  - name: leases-are-reviewed
    effect: hold
    match: {verbs: [get], resources: [endpoints]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}
  - name: no-agent-writes
    effect: deny
    match: {principals: {actors: ["agent-*"]}, verbs: [create], resources: [configmaps]}
---
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: servers}
targets: [ops, real]
rules:
  - name: talk
    effect: allow
    match: {verbs: [initialize, ping, tools/list, "notifications/*", "session/*"]}
  - name: tools
    effect: allow
    match: {verbs: [tools/call], tools: ["*"]}
"""

TARGETS = """\
  - name: ops
    protocol: mcp
    url: {ops}
    routes: [/mcp/ops]
    credential: {{kind: per-call, for: [cluster]}}
    pins: {{mode: "off"}}
  - name: real
    protocol: mcp
    url: {real}
    routes: [/mcp/real]
    credential: {{kind: per-call, for: [cluster]}}
    pins: {{mode: "off"}}
"""
CALLS = "  digest: {file: var/keys/digest.key}"


class LinkedWorld(KubeWorld):
    """A KubeWorld with two MCP servers that go to the cluster through the gateway: one of ours, one of npm."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, rules=RULES, credential="{kind: impersonate, from: {env: CLUSTER_TOKEN}}")
        self.around = ExitStack()
        self.ops = self.around.enter_context(LinkingServer(self.url, self.certificate))
        self.real = ""

    def write_settings(self, **changes: str) -> None:
        self.more_targets = TARGETS.format(ops=self.ops.url, real=self.real or self.ops.url)
        calls = f"{CALLS}\n  calls: {{active: c1, ring: [{{id: c1, file: var/keys/c1.pem, create: true}}]}}"
        super().write_settings(**{CALLS: calls, **changes})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedWorld]:
    world = LinkedWorld(tmp_path_factory.mktemp("linked"))
    with world.around, world:
        kubeconfig = world.kubeconfig("of-the-server", world.url, world.certificate, world.token("agent-server"))
        world.real = world.around.enter_context(kubernetes_mcp_server(kubeconfig))
        world.write_settings()
        world.start()
        yield world


def test_the_start_tells_whom_the_linked_target_shuts_out_and_which_targets_one_token_opens(world: LinkedWorld) -> None:
    assert world.gateway is not None
    said = world.gateway.output
    assert "target `cluster` refuses everybody but tool calls of `ops`, `real`" in said
    assert "one token of issuer `" in said


class Session:
    """A plain MCP client of one target."""

    def __init__(self, world: LinkedWorld, target: str, **claims: Any) -> None:
        self.world = world
        self.http = world.around.enter_context(world.client(world.token(**claims), http2=False))
        self.url = f"{world.base}/mcp/{target}"
        self.headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        answer = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})
        assert answer.status_code == 200, answer.text
        if session := answer.headers.get("mcp-session-id"):
            self.headers["mcp-session-id"] = session
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def post(self, message: dict[str, Any], timeout: float = 30) -> httpx.Response:
        return self.http.post(self.url, json=message, headers=self.headers, timeout=timeout)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; returns the whole message."""
        answer = self.post(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        )
        text = answer.text
        if "text/event-stream" in answer.headers.get("content-type", ""):
            text = next(line[5:] for line in text.splitlines() if line.startswith("data:") and '"id"' in line)
        found: dict[str, Any] = json.loads(text)
        return found

    def ask(self, path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
        """Let our server make one request to the cluster for a call."""
        answer = self.call("ask", path=path, method=method, **headers)
        found: dict[str, Any] = json.loads(answer["result"]["content"][0]["text"])
        return found


@pytest.fixture(scope="module")
def session(world: LinkedWorld) -> Session:
    return Session(world, "ops")


PODS = "/api/v1/namespaces/default/pods"


def test_a_request_of_a_call_passes_and_the_cluster_is_told_of_the_human(world: LinkedWorld, session: Session) -> None:
    answer = session.ask(PODS)
    assert answer["status"] == 200, answer
    seen = world.cluster.requests[-1]
    assert seen.user is not None
    assert seen.user.name == "alice@corp.example"
    assert seen.user.behind == "gateway"
    assert seen.user.extra["holdpoint-actor"] == ["mcp-server:ops"]
    assert seen.user.extra["holdpoint-call"][0].startswith("ex-")
    assert seen.header("authorization") == f"Bearer {GATEWAY_TOKEN}"


@pytest.mark.threat("T54")
def test_what_comes_without_the_token_of_a_call_is_denied(world: LinkedWorld) -> None:
    for sub in ("u-alice", "agent-server"):
        with world.client(world.token(sub)) as client:
            answer = client.get(PODS)
        assert answer.status_code == 403
        assert answer.json()["kind"] == "Status"
        assert "tool call" in answer.json()["message"]


@pytest.mark.threat("T53")
def test_a_token_replayed_after_its_call_is_401(world: LinkedWorld, session: Session) -> None:
    session.ask(PODS)
    token = world.ops.tokens[-1][1]
    answers: list[int] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and answers[-1:] != [401]:
        answers.append(world.ops.ask(token, PODS)["status"])
    assert answers[-1] == 401
    assert set(answers) <= {200, 401}


def held(world: LinkedWorld) -> list[dict[str, Any]]:
    """Return the requests that wait for a reviewer."""
    listed: Any = world.admin().call_sync("approvals.list", {"id_token": world.id_token()})
    found: list[dict[str, Any]] = listed["requests"] if isinstance(listed, dict) else listed
    return found


def until(what: Callable[[], Any]) -> Any:
    """Return what is true in the end."""
    deadline = time.monotonic() + 20
    while not (found := what()):
        assert time.monotonic() < deadline
    return found


@pytest.mark.threat("T53")
def test_what_was_held_is_not_sent_when_its_call_is_over(world: LinkedWorld, session: Session) -> None:
    path = "/api/v1/namespaces/default/endpoints/reviewed"
    with pytest.raises(httpx.ReadTimeout):
        session.post(
            {
                "jsonrpc": "2.0",
                "id": 9,
                "method": "tools/call",
                "params": {"name": "ask", "arguments": {"path": path}},
            },
            timeout=2,
        )
    token = world.ops.tokens[-1][1]
    (waiting,) = until(lambda: held(world))
    until(lambda: world.ops.ask(token, PODS)["status"] == 401)
    params = {
        "id": waiting["id"],
        "verdict": "approve",
        "expect": waiting["intent"],
        "preview": waiting["preview_digest"],
        "id_token": world.id_token(),
    }
    world.admin().call_sync("approvals.decide", params)
    answered = until(lambda: [a for a in world.ops.answers if a["path"] == path])
    assert [a["status"] for a in answered] == [401]
    assert not [r for r in world.cluster.requests if r.path == path]


@pytest.mark.threat("T53")
def test_the_token_of_a_call_opens_no_other_target(world: LinkedWorld, session: Session) -> None:
    session.ask(PODS)
    token = world.ops.tokens[-1][1]
    with world.client(token, http2=False) as client:
        answer = client.post(f"{world.base}/mcp/ops", json={}, headers=session.headers)
    assert answer.status_code == 401


@pytest.mark.threat("T54")
@pytest.mark.parametrize(
    ("claims", "path", "method", "status"),
    [
        pytest.param({}, "/api/v1/namespaces/default/secrets", "GET", 403, id="beyond the server"),
        pytest.param({}, "/api/v1/namespaces/default/services", "GET", 403, id="beyond the human"),
        pytest.param({"act": {"sub": "agent-7"}}, PODS, "GET", 200, id="within all three"),
        pytest.param(
            {"act": {"sub": "agent-7"}}, "/api/v1/namespaces/default/configmaps", "POST", 403, id="beyond the agent"
        ),
    ],
)
def test_a_request_is_limited_to_what_human_agent_and_server_may(
    world: LinkedWorld, claims: dict[str, Any], path: str, method: str, status: int
) -> None:
    assert Session(world, "ops", **claims).ask(path, method)["status"] == status


@pytest.mark.threat("T53")
def test_only_a_tool_call_gets_a_token(world: LinkedWorld, session: Session) -> None:
    session.post({"jsonrpc": "2.0", "id": 5, "method": "tools/list"})
    session.ask(PODS)
    for method, token in world.ops.tokens:
        assert bool(token) is (method == "tools/call")
    tokens = [token for _, token in world.ops.tokens if token]
    assert len(set(tokens)) == len(tokens)


@pytest.mark.threat("T57")
def test_the_token_of_a_call_is_neither_answered_nor_written_down(world: LinkedWorld, session: Session) -> None:
    answer = json.dumps(session.call("leak"))
    token = world.ops.tokens[-1][1]
    assert "[masked]" in answer
    assert token not in answer
    assert token.split(".")[2] not in answer
    head, claims, signature = (part.encode() for part in token.split("."))
    for file in world.var.rglob("*"):
        if file.is_file() and not file.name.startswith("audit-log.lock"):
            data = file.read_bytes()
            assert claims not in data, file
            assert signature not in data, file
    assert world.gateway is not None
    assert claims.decode() not in world.gateway.output
    assert head


@pytest.mark.threat("T55")
def test_no_identity_header_of_the_caller_reaches_the_cluster(world: LinkedWorld, session: Session) -> None:
    headers = {
        "X-Remote-User": "admin",
        "X-Remote-Group": "system:masters",
        "X_Remote_User": "admin",
        "X.Remote.User": "admin",
        "x-remote-extra-a": "b",
        "X-Forwarded-User": "admin",
        "Forwarded": "for=10.0.0.1",
        "Cookie": "a=b",
        "Proxy-Authorization": "Bearer x",
        "Kubernetes-Authorization": "Bearer x",
    }
    assert session.ask(PODS, **headers)["status"] == 200
    names = {name.lower() for name, _ in world.cluster.requests[-1].headers}
    assert not names & {name.lower() for name in headers}
    assert "impersonate-user" in names


@pytest.mark.threat("T55")
def test_as_somebody_else_is_a_matter_of_policy(world: LinkedWorld, session: Session) -> None:
    before = len(world.cluster.requests)
    for name in ("Impersonate-User", "Impersonate_User", "Impersonate.User", "impersonate-group"):
        assert session.ask(PODS, **{name: "admin"})["status"] in (400, 403)
    assert len(world.cluster.requests) == before


def said(world: LinkedWorld, *arguments: str) -> str:
    """Return what a command of the gateway's own prints."""
    done = subprocess.run(
        [sys.executable, "-m", "holdpoint.cli", "--config", str(world.settings_file), *arguments],
        env={"PYTHONPATH": str(ROOT / "addons"), "HOME": str(world.folder)},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


@pytest.mark.threat("T54")
def test_refusal_for_the_servers_sake_is_explained_with_the_servers_name(world: LinkedWorld, session: Session) -> None:
    refused = session.ask("/api/v1/namespaces/default/secrets")
    assert refused["status"] == 403
    causes = {c["reason"]: c["message"] for c in json.loads(refused["body"])["details"]["causes"]}
    # What is linked stands in the recordings when the exchange is whole.
    explained = until(
        lambda: (
            linked if "linked" in (linked := json.loads(said(world, "explain", causes["HoldpointRefusal"]))) else None
        )
    )
    assert explained["detail"] == (
        "no rule allows this; the call came through `holdpoint#mcp-server:ops`, for whom no rule allows this"
    )
    assert datetime.fromisoformat(explained["at"]).tzinfo is not None
    assert [datetime.fromisoformat(one["at"]).year for one in explained["linked"]]


@pytest.mark.threat("T58")
def test_the_record_tells_which_requests_a_call_made(world: LinkedWorld, session: Session) -> None:
    session.ask(PODS)
    session.ask("/api/v1/namespaces/default/secrets")
    linked: dict[str, set[str]] = {}
    listed: dict[str, set[str]] = {}
    deadline = time.monotonic() + 20
    # The record of a request may be written after that of its call. A replay may come when that of the call is written.
    while not (listed and all(made <= linked.get(call, set()) for call, made in listed.items())):
        assert time.monotonic() < deadline
        linked, listed = {}, {}
        for logged in browse.events(world.var / "recordings"):
            detail = as_object(logged.event.get("detail"))
            if call := detail.get("call"):
                linked.setdefault(str(call), set()).add(logged.text("exchange"))
            if requests := detail.get("requests"):
                assert isinstance(requests, list)
                listed[logged.text("exchange")] = {str(r) for r in requests}
    call = min(listed)
    explained = said(world, "explain", call)
    assert all(exchange in explained for exchange in listed[call])
    assert call in said(world, "explain", min(listed[call]))
    session_of = next(e.text("session") for e in browse.events(world.var / "recordings") if e.text("exchange") == call)
    assert all(exchange in said(world, "sessions", "show", session_of) for exchange in listed[call])


# kubernetes-mcp-server of npm


def test_the_real_server_passes_the_token_on_and_its_request_is_that_of_the_call(world: LinkedWorld) -> None:
    real = Session(world, "real")
    answer = real.call("namespaces_list")
    assert "kube-system" in json.dumps(answer), (answer, world.gateway and world.gateway.output)
    listed = [r for r in world.cluster.requests if r.path == "/api/v1/namespaces"]
    assert listed
    assert listed[-1].user is not None
    assert listed[-1].user.name == "alice@corp.example"
    assert listed[-1].user.extra["holdpoint-actor"] == ["mcp-server:real"]


def test_the_real_servers_own_requests_reached_nothing(world: LinkedWorld) -> None:
    own = [r for r in world.cluster.requests if r.user is None or "holdpoint-call" not in r.user.extra]
    assert own == []


def test_the_real_server_may_not_more_than_its_caller(world: LinkedWorld) -> None:
    real = Session(world, "real")
    answer = json.dumps(real.call("resources_get", apiVersion="v1", kind="Secret", namespace="default", name="none"))
    assert "holdpoint" in answer.lower() or "not allowed" in answer.lower() or "forbidden" in answer.lower(), answer
