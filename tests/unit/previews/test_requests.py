"""Requests of a preview: what was asked for, with `dryRun=All`; and nothing else ever."""

import json
from typing import Any

import pytest
from tests.fakes.protobuf_bodies import body, held

from holdpoint.domain.access import AccessRequest, Principal
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.values import as_object
from holdpoint.previews.errors import NotTried
from holdpoint.previews.requests import check, dry_write, get, of_object
from holdpoint.protocols.kubernetes.decode import decode

APPS = "/apis/apps/v1/namespaces/shop/deployments"
CORE = "/api/v1/namespaces/shop"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


def asked(method: str, path: str, value: Any = None, sort: str = "application/json") -> tuple[AccessRequest, Any]:
    """A request as it was decoded, and the query of its intent."""
    data = b"" if value is None else json.dumps(value).encode()
    call = decode(method=method, path=path, headers=[(b"content-type", sort.encode())] if data else [], body=data)
    access = AccessRequest(Principal("https://i", "u", "human"), "c", call.action, call.resource, call.arguments)
    return access, as_object(as_object(call.intent).get("query"))


SENT = [
    (("PATCH", f"{APPS}/web", {"spec": {}}, MERGE), f"PATCH {APPS}/web?dryRun=All"),
    (
        ("PATCH", f"{APPS}/web/scale?fieldManager=k", {"spec": {}}, MERGE),
        "PATCH {0}/web/scale?fieldManager=k&dryRun=All",
    ),
    (("PUT", f"{APPS}/web?dryRun=All", {"spec": {}}), f"PUT {APPS}/web?dryRun=All"),
    (("POST", f"{CORE}/configmaps", {"metadata": {"name": "c"}}), f"POST {CORE}/configmaps?dryRun=All"),
    (("POST", f"{CORE}/pods/web/eviction", {"metadata": {"name": "web"}}), f"POST {CORE}/pods/web/eviction?dryRun=All"),
    (("DELETE", f"{APPS}/web"), f"DELETE {APPS}/web?dryRun=All"),
    (
        ("DELETE", f"{APPS}/web", {"propagationPolicy": "Orphan", "gracePeriodSeconds": 0}),
        f"DELETE {APPS}/web?gracePeriodSeconds=0&propagationPolicy=Orphan&dryRun=All",
    ),
    (("DELETE", "/api/v1/namespaces/shop"), "DELETE /api/v1/namespaces/shop?dryRun=All"),
    (("PUT", "/api/v1/namespaces/shop/finalize", {"spec": {}}), "PUT /api/v1/namespaces/shop/finalize?dryRun=All"),
    (("DELETE", "/api/v1/nodes/n1"), "DELETE /api/v1/nodes/n1?dryRun=All"),
    (
        (
            "PATCH",
            f"{APPS}/web?fieldManager=a%26dryRun%3D&force=true",
            {"kind": "Deployment"},
            APPLY,
        ),
        "PATCH {0}/web?fieldManager=a%26dryRun%3D&force=true&dryRun=All",
    ),
]


@pytest.mark.threat("T70")
@pytest.mark.parametrize(("request_", "expected"), SENT, ids=[s[1] for s in SENT])
def test_write_is_what_was_asked_for_and_says_dry_run_once(request_: Any, expected: str):
    asking = dry_write(*asked(*request_))
    assert f"{asking.method} {asking.target}" == expected.format(APPS)
    check(asking.method, f"https://h:1/base{asking.target}", asking.body, base="/base")
    if asking.method == "DELETE":
        assert asking.body == b""
    else:
        assert json.loads(asking.body) == request_[2]


NOT_TRIED = [
    ("POST", f"{CORE}/serviceaccounts/x/token", {"spec": {}}),
    ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": {}}),
    ("POST", "/apis/metrics.example.org/v1/namespaces/shop/things", {"metadata": {"name": "x"}}),
    ("DELETE", "/apis/shop.example.org/v1/namespaces/shop/things/one"),
    ("POST", f"{CORE}/pods/web/binding", {"target": {"name": "n"}}),
    ("POST", f"{CORE}/bindings", {"target": {"name": "n"}}),
    ("GET", f"{CORE}/pods/web/exec?command=id"),
    ("POST", f"{CORE}/services/web/proxy/x"),
    ("DELETE", f"{CORE}/configmaps"),
    ("POST", "/healthz"),
]


@pytest.mark.threat("T70")
@pytest.mark.parametrize("request_", NOT_TRIED, ids=lambda r: f"{r[0]} {r[1]}")
def test_what_a_dry_run_would_not_keep_from_happening_is_not_tried(request_: Any):
    with pytest.raises(NotTried):
        dry_write(*asked(*request_))


REFUSED = [
    ("PATCH", f"{APPS}/web", b"{}"),
    ("PATCH", f"{APPS}/web?dryRun=", b"{}"),
    ("PATCH", f"{APPS}/web?dryRun=None", b"{}"),
    ("PATCH", f"{APPS}/web?dryRun=All&dryRun=", b"{}"),
    ("PATCH", f"{APPS}/web?dryRun=All&dryrun=All", b"{}"),
    ("PATCH", f"{APPS}/web?x=dryRun=All", b"{}"),
    ("PATCH", f"{APPS}/web#?dryRun=All", b"{}"),
    ("DELETE", f"{APPS}/web?dryRun=All", b'{"dryRun":["All"]}'),
    ("DELETE", f"{APPS}?dryRun=All", b""),
    ("POST", f"{CORE}/serviceaccounts/x/token?dryRun=All", b"{}"),
    ("POST", f"{CORE}/pods/web/exec?dryRun=All", b""),
    ("POST", f"{CORE}/pods/web/eviction?dryRun=All", b'{"deleteOptions":{"dryRun":["None"]}}'),
    ("POST", "/apis/shop.example.org/v1/namespaces/shop/things?dryRun=All", b"{}"),
    ("GET", f"{CORE}/pods/web/exec?command=id", b""),
    ("GET", f"{CORE}/pods/web/log", b""),
    ("GET", f"{CORE}/pods?watch=true", b""),
    ("GET", f"{CORE}/services/web/proxy/x", b""),
    ("GET", f"{CORE}/pods", b"x"),
    ("GET", "/healthz", b""),
    ("OPTIONS", f"{CORE}/pods?dryRun=All", b""),
]


@pytest.mark.threat("T70")
@pytest.mark.parametrize(("method", "target", "data"), REFUSED, ids=[f"{r[0]} {r[1]}" for r in REFUSED])
def test_request_that_could_change_something_is_stopped_as_it_goes_out(method: str, target: str, data: bytes):
    with pytest.raises(GatewayFault):
        check(method, f"https://h:1{target}", data, base="")


def test_request_to_another_place_than_the_target_is_stopped():
    with pytest.raises(GatewayFault, match="where its target is not"):
        check("GET", f"https://h:1{CORE}/pods", b"", base="/cluster")


def test_body_that_was_not_wholly_understood_is_not_tried():
    call = decode(
        method="POST",
        path=f"{CORE}/configmaps",
        headers=[(b"content-type", b"application/vnd.kubernetes.protobuf")],
        body=body("v1", "ConfigMap", held(1, held(1, "app")) + held(99, "x")),
    )
    access = AccessRequest(Principal("https://i", "u", "human"), "c", call.action, call.resource, call.arguments)
    with pytest.raises(NotTried, match="not understood"):
        dry_write(access, {})


def test_name_that_needs_escapes_is_escaped():
    access, _ = asked("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node")
    path = of_object(access.resource)  # type: ignore[arg-type]  # an object
    assert path.endswith("/clusterroles/system%3Anode")
    check("GET", f"https://h{get(path).target}", b"", base="")
