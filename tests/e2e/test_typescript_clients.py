"""Clients on the TypeScript SDKs, of both eras, work through the gateway as they do without it."""

from collections.abc import Iterator

import pytest
from tests.fakes.everything_world import EverythingWorld
from tests.fakes.ts_clients import ERAS, Era, run

pytestmark = pytest.mark.e2e

ANSWERS = {
    "elicitation": {"form": {"action": "accept", "content": {"name": "Ann", "response": "yes", "color": "green"}}},
    "sampling": "Paris",
    "roots": ["file:///srv/notes"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EverythingWorld]:
    with EverythingWorld(tmp_path_factory.mktemp("typescript")) as world:
        world.start()
        yield world


@pytest.mark.parametrize("era", ERAS)
def test_it_lists_and_reads_what_the_server_offers(world: EverythingWorld, era: Era) -> None:
    operations = [
        {"do": "listTools"},
        {"do": "listPrompts"},
        {"do": "listResources"},
        {"do": "listResourceTemplates"},
        {"do": "callTool", "name": "test_simple_text"},
        {"do": "getPrompt", "name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}},
        {"do": "readResource", "uri": "test://template/7/data"},
    ]
    client, (connected, tools, prompts, resources, templates, called, prompt, resource) = run(
        era, world.everything_url, world.token(), operations
    )
    assert connected.result["server"]["name"] == "mcp-conformance-test-server", client.output
    assert {"test_simple_text", "test_sampling"} <= {t["name"] for t in tools.result["tools"]}
    assert "test_simple_prompt" in {p["name"] for p in prompts.result["prompts"]}
    assert "test://static-text" in {r["uri"] for r in resources.result["resources"]}
    assert [t["uriTemplate"] for t in templates.result["resourceTemplates"]] == ["test://template/{id}/data"]
    assert called.text == "This is a simple text response for testing."
    assert "arg1='a', arg2='b'" in prompt.result["messages"][0]["content"]["text"]
    assert "Data for ID: 7" in resource.result["contents"][0]["text"]


@pytest.mark.parametrize(
    ("era", "tool", "arguments", "asked", "answer"),
    [
        pytest.param(
            "v1", "test_elicitation", {"message": "Sure?"}, "elicitation/create", '"response": "yes"', id="user"
        ),
        pytest.param("v1", "test_sampling", {"prompt": "Capital?"}, "sampling/createMessage", "Paris", id="model"),
        pytest.param(
            "v2",
            "test_input_required_result_elicitation",
            {},
            "elicitation/create",
            "Hello, Ann!",
            id="user, stateless",
        ),
        pytest.param(
            "v2", "test_input_required_result_sampling", {}, "sampling/createMessage", "Paris", id="model, stateless"
        ),
        pytest.param("v2", "test_input_required_result_list_roots", {}, "roots/list", "1 root", id="roots, stateless"),
        pytest.param(
            "v2",
            "test_input_required_result_request_state",
            {},
            "elicitation/create",
            "state-ok",
            id="state kept by the client",
        ),
    ],
)
def test_what_the_server_asks_reaches_it_and_its_answer_returns(
    *, world: EverythingWorld, era: Era, tool: str, arguments: dict[str, str], asked: str, answer: str
) -> None:
    answers = {**ANSWERS, "elicitation": {"form": {"action": "accept", "content": _content(tool)}}}
    operations = [{"do": "callTool", "name": tool, "arguments": arguments}]
    client, (_, called) = run(era, world.everything_url, world.token(), operations, **answers)
    assert answer in called.text, client.output
    assert [a["asked"] for a in client.asked] == [asked]


def _content(tool: str) -> dict[str, object]:
    return {"ok": True} if tool.endswith("state") else ANSWERS["elicitation"]["form"]["content"]


@pytest.mark.parametrize("era", ERAS)
def test_progress_reaches_it_step_by_step(world: EverythingWorld, era: Era) -> None:
    operations = [{"do": "callTool", "name": "test_tool_with_progress", "progress": True}]
    client, (_, called) = run(era, world.everything_url, world.token(), operations)
    assert called.error is None
    assert [line["progress"]["progress"] for line in client.notifications] == [0, 50, 100]


def test_a_legacy_client_comes_back_to_a_stream_that_was_closed_on_it(world: EverythingWorld) -> None:
    client, (_, called, ended) = run(
        "v1", world.everything_url, world.token(), [{"do": "callTool", "name": "test_reconnection"}, {"do": "end"}]
    )
    assert called.text == "Reconnection test completed"
    assert [n["params"]["data"] for n in client.notifications] == ["Before disconnect", "After reconnect"]
    assert ended.error is None


def test_a_stateless_client_hears_on_its_subscription_that_a_list_changed(world: EverythingWorld) -> None:
    operations = [
        {"do": "listen", "filter": {"toolsListChanged": True}},
        {"do": "callTool", "name": "test_trigger_tool_change"},
        {"do": "await", "notification": "notifications/tools/list_changed"},
    ]
    client, (_, listening, _, heard) = run("v2", world.everything_url, world.token(), operations)
    assert listening.result["honored"] == {"toolsListChanged": True}, client.output
    assert heard.error is None


@pytest.mark.parametrize("era", ERAS)
def test_without_a_token_it_does_not_connect(world: EverythingWorld, era: Era) -> None:
    client, outcomes = run(era, world.everything_url, "no-such-token", [{"do": "listTools"}])
    assert [o.operation for o in outcomes] == ["connect"], client.output
    assert outcomes[0].error is not None
