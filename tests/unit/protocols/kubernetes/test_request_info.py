"""RequestInfo, by the cases of the API server's own test (apiserver, endpoints/request/requestinfo_test.go)."""

import pytest

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import address
from holdpoint.protocols.kubernetes.request_info import RequestInfo, request_info


def info(method: str, target: str) -> RequestInfo:
    at = address.read(target)
    return request_info(method, at.path, at.query)


# method, target: verb, group, version, namespace, resource, subresource, name, parts
RESOURCES = [
    # resource paths
    ("GET", "/api/v1/namespaces", "list", "", "v1", "", "namespaces", "", "", ["namespaces"]),
    ("GET", "/api/v1/namespaces/other", "get", "", "v1", "other", "namespaces", "", "other", ["namespaces", "other"]),
    ("GET", "/api/v1/namespaces/other/pods", "list", "", "v1", "other", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/namespaces/other/pods/foo", "get", "", "v1", "other", "pods", "", "foo", ["pods", "foo"]),
    ("HEAD", "/api/v1/namespaces/other/pods/foo", "get", "", "v1", "other", "pods", "", "foo", ["pods", "foo"]),
    ("GET", "/api/v1/pods", "list", "", "v1", "", "pods", "", "", ["pods"]),
    ("HEAD", "/api/v1/pods", "list", "", "v1", "", "pods", "", "", ["pods"]),
    # special verbs
    ("GET", "/api/v1/proxy/namespaces/other/pods/foo", "proxy", "", "v1", "other", "pods", "", "foo", ["pods", "foo"]),
    (
        *("GET", "/api/v1/proxy/namespaces/other/pods/foo/subpath/not/a/subresource", "proxy", "", "v1", "other"),
        *("pods", "", "foo", ["pods", "foo", "subpath", "not", "a", "subresource"]),
    ),
    ("GET", "/api/v1/watch/pods", "watch", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?watch=true", "watch", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?watch=false", "list", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/watch/namespaces/other/pods", "watch", "", "v1", "other", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/namespaces/other/pods?watch=1", "watch", "", "v1", "other", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/namespaces/other/pods?watch=0", "list", "", "v1", "other", "pods", "", "", ["pods"]),
    # subresource identification
    (
        *("GET", "/api/v1/namespaces/other/pods/foo/status", "get", "", "v1", "other", "pods", "status", "foo"),
        ["pods", "foo", "status"],
    ),
    (
        *("GET", "/api/v1/namespaces/other/pods/foo/proxy/subpath", "get", "", "v1", "other", "pods", "proxy", "foo"),
        ["pods", "foo", "proxy", "subpath"],
    ),
    (
        *("PUT", "/api/v1/namespaces/other/finalize", "update", "", "v1", "other", "namespaces", "finalize", "other"),
        ["namespaces", "other", "finalize"],
    ),
    (
        *("PUT", "/api/v1/namespaces/other/status", "update", "", "v1", "other", "namespaces", "status", "other"),
        ["namespaces", "other", "status"],
    ),
    # verb identification
    ("PATCH", "/api/v1/namespaces/other/pods/foo", "patch", "", "v1", "other", "pods", "", "foo", ["pods", "foo"]),
    ("DELETE", "/api/v1/namespaces/other/pods/foo", "delete", "", "v1", "other", "pods", "", "foo", ["pods", "foo"]),
    ("POST", "/api/v1/namespaces/other/pods", "create", "", "v1", "other", "pods", "", "", ["pods"]),
    ("PUT", "/api/v1/nodes/n", "update", "", "v1", "", "nodes", "", "n", ["nodes", "n"]),
    ("OPTIONS", "/api/v1/namespaces/other/pods", "", "", "v1", "other", "pods", "", "", ["pods"]),
    # deletecollection
    ("DELETE", "/api/v1/nodes", "deletecollection", "", "v1", "", "nodes", "", "", ["nodes"]),
    ("DELETE", "/api/v1/namespaces", "deletecollection", "", "v1", "", "namespaces", "", "", ["namespaces"]),
    ("DELETE", "/api/v1/namespaces/other/pods", "deletecollection", "", "v1", "other", "pods", "", "", ["pods"]),
    (
        *("DELETE", "/apis/extensions/v1/namespaces/other/pods", "deletecollection", "extensions", "v1", "other"),
        *("pods", "", "", ["pods"]),
    ),
    # group and version
    (
        "POST",
        "/apis/extensions/v1/namespaces/other/pods",
        "create",
        "extensions",
        "v1",
        "other",
        "pods",
        "",
        "",
        ["pods"],
    ),
    (
        *("POST", "/apis/extensions/v1beta3/namespaces/other/pods", "create", "extensions", "v1beta3", "other"),
        *("pods", "", "", ["pods"]),
    ),
    # what the server's table leaves out
    ("GET", "/api/v1/pods/", "list", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?watch=", "watch", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?watch", "watch", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?watch=FALSE", "list", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?watch=no", "watch", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?Watch=1", "list", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?%77atch=1", "watch", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods?watch=%66alse", "list", "", "v1", "", "pods", "", "", ["pods"]),
    ("GET", "/api/v1/pods/foo?watch=1", "get", "", "v1", "", "pods", "", "foo", ["pods", "foo"]),
    (
        "GET",
        "/api/v1/watch/namespaces/other",
        "watch",
        "",
        "v1",
        "other",
        "namespaces",
        "",
        "other",
        ["namespaces", "other"],
    ),
    ("DELETE", "/api/v1/watch/pods/foo", "watch", "", "v1", "", "pods", "", "foo", ["pods", "foo"]),
    (
        "GET",
        "/api/v1/namespaces/status",
        "get",
        "",
        "v1",
        "status",
        "namespaces",
        "",
        "status",
        ["namespaces", "status"],
    ),
    (
        "GET",
        "/api/v1/secrets?limit=x&watch=1&fieldSelector=metadata.name=a",
        "watch",
        "",
        "v1",
        "",
        "secrets",
        "",
        "",
        ["secrets"],
    ),
]


@pytest.mark.parametrize("case", RESOURCES, ids=lambda c: f"{c[0]} {c[1]}")
def test_resource_request_is_named_as_the_api_server_names_it(case):
    method, target, verb, group, version, namespace, resource, subresource, name, parts = case
    found = info(method, target)
    assert found.is_resource
    assert (found.verb, found.group, found.version, found.namespace) == (verb, group, version, namespace)
    assert (found.resource, found.subresource, found.name) == (resource, subresource, name)
    assert list(found.parts) == parts


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/api", "/api/v1", "/api/version/", "/apis/group/version/", "/apis/extensions/v1beta1", "/apis"),
        *("/badprefix/version/resource", "/not-api/version/resource", "/apis/version/resource", "/healthz", "/version"),
        *("/openapi/v3/apis/apps/v1", "/metrics", "/logs/kube-apiserver.log", "/debug/pprof/heap", "/API/v1/pods"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_no_resources_and_their_verb_is_the_method(method, target):
    found = info(method, target)
    assert (found.is_resource, found.path, found.verb) == (False, target, method.lower())


@pytest.mark.parametrize(
    "target",
    ["/api/version/resource", "/apis/group/version/resource/name/subresource", "/apis/batch/v1/job/foo/scale"],
)
def test_groups_and_versions_may_have_any_name(target):
    assert info("GET", target).is_resource


@pytest.mark.parametrize("verb", ["watch", "proxy"])
def test_verb_in_the_path_without_a_resource_is_an_error(verb):
    with pytest.raises(Undecodable, match="a verb and no resource"):
        info("GET", f"/api/v1/{verb}")


@pytest.mark.parametrize(
    ("query", "verb", "name"),
    [
        ("", "list", ""),
        ("fieldSelector=metadata.name=name1", "list", "name1"),
        ("fieldSelector=metadata.name%3D%3Dname1", "list", "name1"),
        ("watch=true&fieldSelector=metadata.name=name1", "watch", "name1"),
        ("fieldSelector=foo=bar", "list", ""),
        ("fieldSelector=metadata.name!=name1", "list", ""),
        ("fieldSelector=a=b,metadata.name=name1", "list", "name1"),
        ("fieldSelector=metadata.name=b,metadata.name=a", "list", "a"),
        ("fieldSelector=metadata.name=name1,foo", "list", ""),
        ("fieldSelector=metadata.name=name1,foo&watch=true", "watch", ""),
        ("fieldSelector=metadata.name=name1,foo&watch=false", "list", ""),
        ("fieldSelector=metadata.name=a%5C%2Cb", "list", "a,b"),
        ("fieldSelector=metadata.name=a%5Cb", "list", ""),
        ("fieldSelector=metadata.name=a%5C", "list", ""),
        ("fieldSelector=metadata.name=a=b", "list", ""),
        ("fieldSelector=metadata.name=..", "list", ""),
        ("fieldSelector=metadata.name=a/b", "list", ""),
        ("fieldSelector=metadata.name=a%2525", "list", ""),
        ("fieldSelector=metadata.name=", "list", ""),
        ("fieldSelector=,,metadata.name=x,", "list", "x"),
    ],
)
def test_field_selector_gives_the_name_where_it_asks_for_one(query, verb, name):
    found = info("GET", f"/apis/group/version/resource?{query}")
    assert (found.verb, found.name) == (verb, name)


def test_field_selector_names_nothing_where_the_path_does():
    assert info("GET", "/api/v1/secrets/a?fieldSelector=metadata.name=b").name == "a"


def test_field_selector_of_a_deletecollection_gives_no_name():
    found = info("DELETE", "/api/v1/secrets?fieldSelector=metadata.name=b")
    assert (found.verb, found.name) == ("deletecollection", "")
