"""Lists tell each caller the truth: what they may use, in the order in which the server gave it."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.looking import BOB, LEGACY, MODERN, Lookout, answer
from tests.fakes.policies import ADA

from holdpoint.domain.access import PinState
from holdpoint.settings import TargetMode
from holdpoint.stages import states

HOLD = (
    "name: write, effect: hold, match: {verbs: [tools/call], tools: [write]},"
    ' approval: {reviewers: ["group:sre"], timeout: 1m}'
)
RULES = (
    'name: tools, effect: allow, match: {verbs: [tools/call], tools: ["read_*"]}',
    HOLD,
    "name: some, effect: allow, match: {verbs: [tools/call], tools: [some]}, when: args.n < 3",
    "name: never, effect: deny, match: {verbs: [tools/call], tools: [read_secret]}",
    "name: prompts, effect: allow, match: {verbs: [prompts/get], prompts: [greet]}",
    'name: uris, effect: allow, match: {verbs: [resources/read], uris: ["note://public/*"]}',
    'name: ada, effect: allow, match: {verbs: [tools/call], tools: [adas]}, when: principal.subject == "ada"',
    "name: lists, effect: allow, match: {verbs: [tools/list]}",
)


@pytest.fixture
def lookout(tmp_path) -> Lookout:
    return Lookout(tmp_path, *RULES)


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": n, "description": f"does {n}"} for n in names]


def listed(lookout: Lookout, verb: str, **result: Any) -> Any:
    return lookout.look(lookout.call(verb))(answer(**result))["result"]


def test_tools_that_a_caller_could_never_use_are_not_listed(lookout):
    every = named("zz", "read_b", "write", "read_secret", "some", "read_a", "adas")
    shown = listed(lookout, "tools/list", tools=every, nextCursor="n")
    assert shown == {"tools": named("read_b", "write", "some", "read_a", "adas"), "nextCursor": "n"}
    assert lookout.exchange.notes == ["hid 2 of tools"]
    for_bob = lookout.look(lookout.call("tools/list", who=BOB))(answer(tools=every))
    assert for_bob == answer(tools=named("read_b", "write", "some", "read_a"))


def test_list_of_what_may_all_be_used_stays_byte_for_byte(lookout):
    said = answer(tools=named("read_b", "read_a"))
    assert lookout.look(lookout.call("tools/list"))(said) is said


@pytest.mark.parametrize(
    ("verb", "member", "items", "kept"),
    [
        pytest.param("prompts/list", "prompts", named("other", "greet"), named("greet"), id="prompts"),
        pytest.param(
            "resources/list",
            "resources",
            [{"uri": "note://public/1"}, {"uri": "note://secret/1"}],
            [{"uri": "note://public/1"}],
            id="resources",
        ),
        pytest.param(
            "resources/templates/list",
            "resourceTemplates",
            [{"uriTemplate": "note://public/{id}"}, {"uriTemplate": "note://{folder}/{id}"}],
            [{"uriTemplate": "note://public/{id}"}],
            id="templates",
        ),
    ],
)
def test_other_lists_are_filtered_alike(lookout, verb, member, items, kept):
    assert listed(lookout, verb, **{member: items}) == {member: kept}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"description": "no name"}, id="no name"),
        pytest.param({"name": 7}, id="no text"),
        pytest.param({"name": " read_a"}, id="blanks"),
        pytest.param({"name": "read_\u200b"}, id="not printable"),
        pytest.param("read_a", id="no object"),
    ],
)
def test_entry_that_nobody_could_name_is_not_listed(lookout, odd):
    assert listed(lookout, "tools/list", tools=[odd, *named("read_a")]) == {"tools": named("read_a")}


@pytest.mark.parametrize("tools", [{"read_a": {}}, "read_a", None, 1])
def test_what_is_no_list_is_emptied(lookout, tools):
    assert listed(lookout, "tools/list", tools=tools) == {"tools": []}


@pytest.mark.parametrize("verb", ["tasks/result", "vendor/tools", "server/discover"])
def test_list_is_known_by_its_looks_wherever_it_stands(lookout, verb):
    assert listed(lookout, verb, tools=named("drop", "read_a")) == {"tools": named("read_a")}


def test_list_in_a_stream_that_goes_on_is_filtered_too(lookout):
    resumed = states.Place("e1", {5: "tools/list"})
    look = lookout.look(lookout.call("session/listen", request_id=None), resumed=resumed)
    assert look(answer(5, tools=named("drop"))) == answer(5, tools=[])


def test_nothing_is_hidden_where_the_target_only_observes(lookout):
    look = lookout.look(lookout.call("tools/list"), target=replace(lookout.target, mode=TargetMode.OBSERVE))
    said = answer(tools=named("drop"))
    assert look(said) is said
    assert lookout.exchange.notes == ["would hide 1 of tools"]


def test_tool_that_changed_since_it_was_approved_is_not_listed(lookout):
    assert listed(lookout, "tools/list", tools=named("read_a", "read_b")) == {"tools": named("read_a", "read_b")}
    changed = [*named("read_a"), {**named("read_b")[0], "description": "new"}]
    assert listed(lookout, "tools/list", tools=changed) == {"tools": named("read_a")}
    # One that is listed on two pages is neither.
    listed(lookout, "tools/list", tools=named("read_c"), nextCursor="n")
    second = lookout.look(lookout.call("tools/list", arguments={"cursor": "n"}))
    again = [{**named("read_c")[0], "description": "another"}, *named("read_a")]
    assert second(answer(tools=again)) == answer(tools=named("read_a"))
    assert lookout.services.pins.state("mcp", "read_c") is PinState.DUPLICATE


# -- caches -------------------------------------------------------------------------------------------------------


def cached(lookout: Lookout, verb: str, *, version: str = MODERN, masks: tuple[str, ...] = (), **result: Any) -> Any:
    return lookout.look(lookout.call(verb, version=version), masks=masks)(answer(**result))["result"]


@pytest.mark.parametrize(
    ("ttl", "given", "shown"),
    [
        pytest.param(0, 60_000, 0, id="never, by default"),
        pytest.param(5, 60_000, 5_000, id="as long as the target says"),
        pytest.param(5, 1_000, 1_000, id="no longer than the upstream says"),
        pytest.param(5, -1, 5_000, id="below zero"),
        pytest.param(5, True, 5_000, id="no number"),
        pytest.param(5, None, 5_000, id="unsaid"),
    ],
)
def test_list_is_kept_for_one_caller_and_not_for_long(lookout, ttl, given, shown):
    lookout.target = replace(lookout.target, lists_ttl=ttl)
    told = {} if given is None else {"ttlMs": given}
    result = cached(lookout, "tools/list", tools=named("read_a"), cacheScope="public", **told)
    assert (result["cacheScope"], result["ttlMs"]) == ("private", shown)


def test_list_that_is_private_and_short_already_stays_byte_for_byte(lookout):
    said = answer(tools=named("read_a"), cacheScope="private", ttlMs=0)
    assert lookout.look(lookout.call("tools/list", version=MODERN))(said) is said


def test_legacy_list_gets_no_word_about_caches(lookout):
    assert cached(lookout, "tools/list", version=LEGACY, tools=named("drop")) == {"tools": []}


def test_what_was_read_is_kept_for_one_caller(lookout):
    read = cached(lookout, "resources/read", contents=[], cacheScope="public", ttlMs=9)
    assert read == {"contents": [], "cacheScope": "private", "ttlMs": 9}


def test_answer_that_asks_for_input_gets_no_word_about_caches(lookout):
    result = cached(lookout, "resources/read", resultType="input_required", requestState="s")
    assert "cacheScope" not in result


def test_server_offers_only_versions_that_the_gateway_speaks(lookout):
    known = {"cacheScope": "public", "ttlMs": 5, "capabilities": {"tools": {}}}
    offered = cached(lookout, "server/discover", supportedVersions=["2027-01-01", MODERN, LEGACY], **known)
    assert offered == {**known, "supportedVersions": [MODERN, LEGACY], "cacheScope": "private"}
    same = answer(supportedVersions=[MODERN], **known)
    assert lookout.look(lookout.call("server/discover", version=MODERN))(same) is same
    masked = cached(lookout, "server/discover", masks=("credentials",), supportedVersions=[MODERN], **known)
    assert masked["cacheScope"] == "private"


def test_principal_counts_for_every_entry(lookout):
    # The same list for two callers, each by who they are.
    for who, expected in ((ADA, named("adas")), (BOB, [])):
        assert lookout.look(lookout.call("tools/list", who=who))(answer(tools=named("adas"))) == answer(tools=expected)
