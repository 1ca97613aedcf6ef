"""What a tool did at a cluster before: shown as history, with nothing of what a call said."""

from dataclasses import replace

from tests.fakes.approvals import ask, principal

from holdpoint.domain.access import AccessRequest, Action, KubeObject, Protocol
from holdpoint.domain.approval import Ask
from holdpoint.stages.linked_history import MOST_LINES, LinkedHistory


def linked(call: str, verb: str = "patch") -> AccessRequest:
    what = KubeObject("apps", "v1", "deployments", namespace="shop", name="web")
    return AccessRequest(replace(principal(), call=call), "cluster", Action(Protocol.KUBERNETES, verb), what)


def text(history: LinkedHistory, asked: Ask) -> str:
    return "\n".join(str(line["text"]) for line in history.lines(asked))


def test_last_call_of_the_tool_is_shown_as_history():
    history, first = LinkedHistory(), ask(what="deploy")
    history.note("x-1", first.access, "", 1.0)
    history.note("x-2", linked("x-1"), "deployments shop/web", 2.0)
    assert "history, no promise" in text(history, first)
    assert "with the same arguments, made 1 requests\npatch deployments shop/web at cluster" in text(history, first)
    other = replace(first, access=replace(first.access, arguments={"name": "deploy", "x": 1}))
    assert "with other arguments" in text(history, other)
    assert history.lines(ask(what="another tool")) == []


def test_call_that_reached_no_cluster_is_no_history():
    history, first = LinkedHistory(), ask()
    history.note("x-1", first.access, "", 1.0)
    assert history.lines(first) == []


def test_request_of_a_call_that_is_not_known_is_no_history():
    history = LinkedHistory()
    history.note("x-2", linked("gone"), "pods", 1.0)
    assert history.lines(ask()) == []


def test_many_requests_are_counted():
    history, first = LinkedHistory(), ask()
    history.note("x-1", first.access, "", 1.0)
    for n in range(MOST_LINES + 5):
        history.note(f"y-{n}", linked("x-1", "get"), f"pods p{n}", 2.0)
    assert len(history.lines(first)) == MOST_LINES + 1
    assert "and 5 more" in text(history, first)
