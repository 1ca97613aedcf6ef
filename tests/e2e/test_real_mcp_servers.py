"""MCP servers that are not ours, behind the gateway: npm server-everything, and kubernetes-mcp-server at a cluster."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.fakes.kube_api import ENCODED, PASSWORD, TOKEN, KubeApi
from tests.fakes.npm_servers import kubernetes_mcp_server, server_everything
from tests.fakes.ts_clients import TypeScriptClient, run
from tests.fakes.world import World

pytestmark = pytest.mark.e2e

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: npm}
targets: [npm]
rules:
  - name: talk
    effect: allow
    match:
      verbs:
        - initialize
        - ping
        - logging/setLevel
        - prompts/list
        - resources/list
        - resources/templates/list
        - tools/list
        - "notifications/*"
        - "session/*"
  - name: tools
    effect: allow
    match: {verbs: [tools/call], tools: ["*"]}
    mask: [credentials]
  - name: prompts
    effect: allow
    match: {verbs: [prompts/get, completion/complete], prompts: ["*"]}
  - name: resources
    effect: allow
    match: {verbs: [resources/read, completion/complete], uris: ["demo://*"]}
  - name: questions
    effect: allow
    match: {server_requests: ["*"]}
---
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: cluster}
targets: [cluster, own]
rules:
  - name: talk
    effect: allow
    match: {verbs: [initialize, ping, tools/list, "notifications/*", "session/*"]}
  - name: read
    effect: allow
    match:
      verbs: [tools/call]
      tools: [configuration_view, namespaces_list, pods_list_in_namespace, resources_get]
    mask: [credentials, kubernetes-secrets]
"""

TARGETS = """\
  - name: npm
    protocol: mcp
    url: {npm}
    routes: [/mcp/npm]
    credential: {{kind: none}}
    server_requests: [elicitation/create, ping, roots/list, sampling/createMessage]
  - name: cluster
    protocol: mcp
    url: {cluster}
    routes: [/mcp/cluster]
    credential: {{kind: static, from: {{env: CLUSTER_TOKEN}}}}
  - name: own
    protocol: mcp
    url: {own}
    routes: [/mcp/own]
    credential: {{kind: none}}
"""
"""`cluster`: the MCP server hands the gateway's credential on. `own`: it has one of its own, in its kubeconfig."""

INVENTED = "invented-password-of-the-npm-server"
OPENS_NOTHING = "token-that-opens-nothing"


class RealWorld(World):
    """A World with two more targets, whose servers and cluster run around it."""

    def __init__(self, folder: Path) -> None:
        self._around = ExitStack()
        self.cluster = self._around.enter_context(KubeApi(folder))
        try:
            npm = self._around.enter_context(server_everything(DATABASE_PASSWORD=INVENTED))
            # What this kubeconfig holds opens nothing: the cluster answers to the gateway's credential or not at all.
            useless = self.cluster.write_kubeconfig(folder / "useless.yaml", OPENS_NOTHING)
            cluster = self._around.enter_context(kubernetes_mcp_server(useless))
            of_its_own = self.cluster.write_kubeconfig(folder / "own.yaml", TOKEN)
            own = self._around.enter_context(kubernetes_mcp_server(of_its_own))
        except BaseException:
            self._around.close()
            raise
        more = TARGETS.format(npm=npm, cluster=cluster, own=own)
        super().__init__(folder, more_targets=more, env={"CLUSTER_TOKEN": TOKEN})
        (self.policies / "real.yaml").write_text(POLICY)
        self.write_settings(
            **{"policies: [demo.yaml,": "policies: [demo.yaml, real.yaml, masks/kubernetes-secrets.yaml,"}
        )

    def close(self) -> None:
        """End what runs around it."""
        self._around.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealWorld]:
    world = RealWorld(tmp_path_factory.mktemp("real"))
    try:
        with world:
            world.start()
            yield world
    finally:
        world.close()


# npm server-everything


def test_everything_it_offers_is_listed(world: RealWorld) -> None:
    client, (_, tools, prompts, resources, templates) = run(
        "v1",
        f"{world.base}/mcp/npm",
        world.token(),
        [{"do": "listTools"}, {"do": "listPrompts"}, {"do": "listResources"}, {"do": "listResourceTemplates"}],
    )
    assert {"echo", "get-sum", "get-env"} <= {t["name"] for t in tools.result["tools"]}, client.output
    assert "simple-prompt" in {p["name"] for p in prompts.result["prompts"]}
    assert all(r["uri"].startswith("demo://") for r in resources.result["resources"])
    assert resources.result["resources"]
    assert templates.result["resourceTemplates"]


def test_its_tools_prompts_and_resources_answer(world: RealWorld) -> None:
    operations = [
        {"do": "callTool", "name": "echo", "arguments": {"message": "hello"}},
        {"do": "callTool", "name": "get-sum", "arguments": {"a": 2, "b": 3}},
        {"do": "callTool", "name": "get-structured-content", "arguments": {"location": "Chicago"}},
        {"do": "getPrompt", "name": "simple-prompt"},
        {"do": "readResource", "uri": "demo://resource/dynamic/text/1"},
        {"do": "end"},
    ]
    client, (_, echo, total, structured, prompt, resource, ended) = run(
        "v1", f"{world.base}/mcp/npm", world.token(), operations
    )
    assert echo.text == "Echo: hello", client.output
    assert "5" in total.text
    assert structured.result["structuredContent"]["conditions"]
    assert prompt.result["messages"]
    assert resource.result["contents"][0]["uri"] == "demo://resource/dynamic/text/1"
    assert ended.error is None


def test_what_its_tools_ask_of_the_client_is_asked(world: RealWorld) -> None:
    operations = [
        {"do": "callTool", "name": "trigger-sampling-request", "arguments": {"prompt": "Capital of France?"}},
        {"do": "callTool", "name": "trigger-elicitation-request"},
    ]
    client, (_, sampled, elicited) = run(
        "v1",
        f"{world.base}/mcp/npm",
        world.token(),
        operations,
        sampling="Paris",
        elicitation={"form": {"action": "decline"}},
    )
    assert "Paris" in sampled.text, client.output
    assert "declined" in elicited.text
    assert [a["asked"] for a in client.asked] == ["sampling/createMessage", "elicitation/create"]


def test_a_slow_tool_tells_how_far_it_is(world: RealWorld) -> None:
    arguments = {"duration": 0.3, "steps": 3}
    operations = [
        {"do": "callTool", "name": "trigger-long-running-operation", "arguments": arguments, "progress": True}
    ]
    client, (_, called) = run("v1", f"{world.base}/mcp/npm", world.token(), operations)
    assert "completed" in called.text, client.output
    assert [line["progress"]["progress"] for line in client.notifications] == [1, 2, 3]


def test_a_password_in_its_environment_is_masked(world: RealWorld) -> None:
    client, (_, called) = run("v1", f"{world.base}/mcp/npm", world.token(), [{"do": "callTool", "name": "get-env"}])
    assert "DATABASE_PASSWORD" in called.text
    assert INVENTED not in client.output


# kubernetes-mcp-server


def cluster_client(world: RealWorld, *operations: dict[str, object]) -> TypeScriptClient:
    return TypeScriptClient("v1", f"{world.base}/mcp/cluster", world.token(), operations)


def test_namespaces_and_pods_of_the_cluster_are_listed(world: RealWorld) -> None:
    namespaces = {"do": "callTool", "name": "namespaces_list"}
    pods = {"do": "callTool", "name": "pods_list_in_namespace", "arguments": {"namespace": "shop"}}
    with cluster_client(world, {"do": "listTools"}, namespaces, pods) as client:
        _, tools, of_cluster, of_shop = client.finish()
    assert {"namespaces_list", "resources_get"} <= {t["name"] for t in tools.result["tools"]}
    assert "shop" in of_cluster.text
    assert "billing-0" in of_shop.text


def test_a_secret_of_the_cluster_is_masked_in_yaml_and_in_structure(world: RealWorld) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "namespace": "shop", "name": "billing-db"}
    with cluster_client(world, {"do": "callTool", "name": "resources_get", "arguments": secret}) as client:
        _, called = client.finish()
    assert "GET /api/v1/namespaces/shop/secrets/billing-db" in world.cluster.seen
    assert "kind: Secret" in called.text
    assert "password: " in called.text
    assert called.result["structuredContent"]["data"] == {"password": "[masked]"}
    assert ENCODED not in client.output
    assert PASSWORD not in client.output


def test_the_kubeconfig_comes_without_its_token(world: RealWorld) -> None:
    operations = [{"do": "callTool", "name": "configuration_view"}]
    client, (_, called) = run("v1", f"{world.base}/mcp/own", world.token(), operations)
    assert "kind: Config" in called.text
    assert "token: " in called.text
    assert TOKEN not in client.output


def test_what_no_rule_allows_never_reaches_the_cluster(world: RealWorld) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "namespace": "shop", "name": "billing-db"}
    with cluster_client(world, {"do": "callTool", "name": "resources_delete", "arguments": secret}) as client:
        _, called = client.finish()
    assert called.error is not None or called.result["isError"]
    assert not [line for line in world.cluster.seen if line.startswith("DELETE")]


def test_the_cluster_never_sees_the_token_of_the_caller(world: RealWorld) -> None:
    with cluster_client(world, {"do": "callTool", "name": "namespaces_list"}) as client:
        _, called = client.finish()
    assert "shop" in called.text
    assert world.cluster.tokens <= {TOKEN, OPENS_NOTHING}
