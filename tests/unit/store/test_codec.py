from dataclasses import replace

import pytest
from tests.fakes.approvals import ask, principal, reviewer, term

from holdpoint.domain.access import HttpPath, KubeObject, KubePath, McpMethod, McpPrompt, McpResource
from holdpoint.domain.approval import Ask, Verdict, Vote
from holdpoint.domain.decision import Scope
from holdpoint.store.codec import Unreadable, decode, encode, from_text, to_text


@pytest.mark.parametrize(
    "resource",
    [
        McpPrompt("p"),
        McpResource("file:///x"),
        McpMethod(),
        HttpPath("h", "/p", (("a", "1"), ("a", "2"))),
        KubeObject("apps", "v1", "deployments", "scale", "prod", "web"),
        KubePath("/healthz"),
    ],
    ids=lambda r: type(r).__name__,
)
def test_ask_comes_back_equal_whatever_its_resource(resource):
    asked = ask(who=principal(agent="claude", owners=frozenset({"o1", "o2"})))
    asked = replace(asked, access=replace(asked.access, resource=resource))
    assert from_text(Ask, to_text(asked)) == asked


def test_terms_come_back_equal():
    asked = ask(
        term(required=2, scope=Scope.SESSION, duration=900, auto=30), term(rule="other", auto=None), session="s"
    )
    assert from_text(Ask, to_text(asked)) == asked


def test_whole_number_of_seconds_comes_back_as_float():
    asked = ask(term(timeout=60))
    found = from_text(Ask, to_text(asked)).terms[0].timeout
    assert (found, type(found)) == (60.0, float)


def test_big_integers_keep_every_digit():
    assert from_text(Ask, to_text(ask())).access.arguments["count"] == 2**70


def test_vote_comes_back_equal():
    vote = Vote(reviewer("bob@example", "sre", "oncall"), Verdict.DENY, "no — \U0001f600", 1.5)
    assert from_text(Vote, to_text(vote)) == vote


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda d: d.update(extra=1), id="unknown key"),
        pytest.param(lambda d: d.pop("intent"), id="missing key"),
        pytest.param(lambda d: d.update(intent=5), id="number for text"),
        pytest.param(lambda d: d.update(terms={}), id="object for list"),
        pytest.param(lambda d: d["access"]["resource"].update({"$type": "Principal"}), id="type outside the union"),
        pytest.param(lambda d: d["access"]["principal"].update(kind="god"), id="word outside the literal"),
        pytest.param(lambda d: d["terms"][0].update(scope="forever"), id="word outside the enum"),
        pytest.param(lambda d: d["terms"][0].update(required=True), id="boolean for integer"),
        pytest.param(lambda d: d["terms"][0].update(reviewers="group:sre"), id="text for set"),
        pytest.param(lambda d: d["access"].update(arguments=[]), id="list for object"),
        pytest.param(lambda d: d.update({"$type": "Vote"}), id="another dataclass"),
    ],
)
def test_anything_else_than_what_was_written_is_unreadable(spoil):
    stored = encode(ask())
    spoil(stored)
    with pytest.raises(Unreadable):
        decode(Ask, stored)


def test_field_added_later_takes_its_default():
    stored = encode(ask())
    assert isinstance(stored, dict)
    del stored["session"]
    assert decode(Ask, stored).session == ""


def test_not_a_number_cannot_be_stored():
    asked = ask()
    with pytest.raises(ValueError, match="JSON"):
        to_text(replace(asked, preview={"x": float("nan")}))


def test_foreign_type_cannot_be_stored():
    with pytest.raises(TypeError, match="`bytes`"):
        encode(b"x")
