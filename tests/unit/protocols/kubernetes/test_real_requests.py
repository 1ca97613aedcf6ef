"""Requests of kubectl 1.32 and 1.36 and the Python client, and what the API server's answers say they were about.

`real_requests.jsonl` holds one of each kind out of recorded sessions, with the facts that the answer confirmed.
"""

import json
from pathlib import Path

import pytest

from holdpoint.domain.access import KubeObject
from holdpoint.protocols.call import Call
from holdpoint.protocols.kubernetes.decode import decode

REQUESTS = [
    json.loads(line)
    for line in Path(__file__).with_name("real_requests.jsonl").read_text(encoding="utf-8").splitlines()
]
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def decoded(request: dict) -> Call:
    headers = [(n.encode(), request[n].encode()) for n in ("content-type", "accept") if n in request]
    body = request.get("body", "").encode()
    return decode(method=request["method"], path=request["target"], headers=headers, body=body)


def about(call: Call) -> KubeObject:
    assert isinstance(call.resource, KubeObject)
    return call.resource


def of_kind(test) -> list:
    return [pytest.param(r, id=f"{r['method']} {r['target'][:80]}") for r in REQUESTS if test(r)]


@pytest.mark.parametrize("request_", of_kind(lambda r: "name" in r["answer"]))
def test_object_is_the_one_that_was_answered(request_):
    call, answer = decoded(request_), request_["answer"]
    found = about(call)
    namespace = answer.get("namespace", found.name if found.resource == "namespaces" else "")
    expected = "" if request_["method"] == "POST" and found.resource == "namespaces" else namespace
    name = "" if "generateName" in request_.get("body", "") else answer["name"]
    assert (found.name, found.namespace) == (name, expected)
    assert call.action.verb == VERBS.get(request_["method"], "get")
    if not found.subresource:
        group = f"{found.group}/" if found.group else ""
        assert answer["apiVersion"] == f"{group}{found.version}"


@pytest.mark.parametrize(
    "request_", of_kind(lambda r: str(r["answer"].get("kind")).endswith("List") and "?" in r["target"])
)
def test_list_is_answered_by_a_list(request_):
    call = decoded(request_)
    if isinstance(call.resource, KubeObject):
        assert call.action.verb == "list"
        assert answer_names(request_["answer"]["kind"], about(call).resource)
    else:
        assert call.resource.path in {"/api", "/apis"}


def answer_names(kind: str, resource: str) -> bool:
    return resource.startswith(kind.removesuffix("List").lower().removesuffix("y"))


@pytest.mark.parametrize("request_", of_kind(lambda r: "details" in r["answer"] and r["answer"]["details"]))
def test_status_of_a_delete_names_what_was_deleted(request_):
    found, details = about(decoded(request_)), request_["answer"]["details"]
    assert (found.name, found.resource, found.group) == (details["name"], details["kind"], details.get("group", ""))


@pytest.mark.parametrize("request_", of_kind(lambda r: r["answer"]["status"] == 101))
def test_upgrade_is_a_verb_of_its_own(request_):
    call = decoded(request_)
    subresource = request_["target"].partition("?")[0].rpartition("/")[2]
    is_copy = any(argv in request_["target"] for argv in ("command=tar&", "command=test&command=-d"))
    assert call.action.verb == ("cp" if is_copy else subresource)
    assert call.is_write


@pytest.mark.parametrize("request_", of_kind(lambda r: "watch=true" in r["target"]))
def test_watch_is_a_watch(request_):
    assert decoded(request_).action.verb == "watch"


def test_every_request_is_decoded():
    assert len([decoded(r) for r in REQUESTS]) > 100
