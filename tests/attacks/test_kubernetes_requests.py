"""Requests to the Kubernetes API that the gateway and the API server could take for two different ones."""

import json

import pytest

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.decode import decode

SECRETS = "/api/v1/namespaces/shop/secrets"
POD = "/api/v1/namespaces/shop/pods/web"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/web"


def status(method: str, path: str, body: bytes = b"", **headers: str) -> int:
    """Return the status of a refusal. Fails where the request is not refused."""
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    with pytest.raises(Undecodable) as caught:
        decode(method=method, path=path, headers=fields, body=body)
    return caught.value.status


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/namespaces/shop/secrets",
        "/api//v1/namespaces/shop/secrets",
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces/shop/pods/../secrets",
        "/api/v1/namespaces/shop/./secrets",
        "/healthz/../api/v1/secrets",
        "/api/v1/namespaces/shop/pods/..",
        "/api/v1/namespaces/shop%2fsecrets",
        "/api/v1/namespaces/shop%2Fsecrets",
        "/api/v1/namespaces/shop/pods/%2e%2e/secrets",
        "/api/v1/namespaces/shop/pods/.%2e/secrets",
        "/api/v1/namespaces/shop/pods%5c..%5csecrets",
        "/api/v1/namespaces/shop\\secrets",
        "/api/v1/namespaces/shop/secrets%252fdb",
        "/api/v1/namespaces/shop/secrets/db%25",
        "/api/v1/namespaces/shop/secrets;a=b/db",
        "/api/v1/namespaces/shop/secrets%3bdb",
        "/api/v1/namespaces/shop/secrets/db%00",
        "/api/v1/namespaces/shop/secrets/db%0a",
        "/api/v1/namespaces/shop/secrets/db%0d%0aHost:x",
        "/api/v1/namespaces/shop/secrets/db%7f",
        "/api/v1/namespaces/shop/secrets/db%c2%85",
        "/api/v1/namespaces/shop/secrets/db%ff",
        "/api/v1/namespaces/shop/secrets/db%c0%af",
        "/api/v1/namespaces/shop/secrets/db%",
        "/api/v1/namespaces/shop/secrets/db%4",
        "/api/v1/namespaces/shop/secrets/db%zz",
        "/api/v1/namespaces/shop/secrets/d b",
        "/api/v1/namespaces/shop/secrets/d\tb",
        "/api/v1/namespaces/shop/secrets/d\u00e9",
        "/api/v1/namespaces/shop/secrets/db#x",
        "api/v1/namespaces/shop/secrets",
        "http://other/api/v1/namespaces/shop/secrets",
        "",
        "*",
        "/api/v1/watch",
        "/api/v1/proxy",
        f"{POD}/proxy//etc",
        f"{POD}/proxy/../../secrets",
        f"{POD}/proxy/%2e%2e/secrets",
    ],
)
def test_path_that_reads_in_more_than_one_way_is_refused(path):
    assert status("GET", path) == 400


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/Shop/secrets",
        "/api/v1/namespaces/-shop/secrets",
        "/api/v1/namespaces/sh_op/secrets",
        "/api/v1/namespaces/kube%2Dsystem%20/secrets",
        f"/api/v1/namespaces/{'a' * 64}/secrets",
        "/api/v1/namespaces/shop/Secrets",
        "/api/v1/namespaces/shop/SECRETS/db",
        "/api/V1/secrets",
        "/apis/Apps/v1/deployments",
        "/api/v1/namespaces/shop/pods/web/Exec?command=sh",
        "/api/v1/namespaces/shop/pods/web/exec%20?command=sh",
        "/api/v1/namespaces/shop/secrets/d%20b",
        "/api/v1/namespaces/shop/secrets/d%3Fb",
        "/api/v1/namespaces/shop/secrets/d%23b",
        "/api/v1/namespaces/shop/secrets/%D0%B0dmin",
        f"/api/v1/namespaces/shop/secrets/{'a' * 254}",
    ],
)
def test_name_that_no_object_has_is_refused(path):
    assert status("GET", path) == 400


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    "query",
    [
        "watch=true&watch=false",
        "watch=false&watch=true",
        "watch=0&%77atch=1",
        "dryRun=All&dryRun=All",
        "fieldSelector=metadata.name%3Da&fieldSelector=metadata.name%3Db",
        "labelSelector=a&labelSelector=b",
        "resourceVersion=1&resourceVersion=2",
        "limit=1&limit=2",
        "fieldManager=a&fieldManager=b",
        "force=true&force=false",
        "unheard-of=1&unheard-of=2",
        "command=a&command=b",
        "ports=1&ports=2",
        "limit=1;watch=true",
        "labelSelector=a;watch=true",
        "resourceVersion=1;x",
        "a%=1",
        "a=%4",
        "a=%ff",
        "watch=%00",
        "watch=fal%C5%BFe",
        "labelSelector=a%0ab",
        "a%00b=1",
        "a b=1",
        "limit=x",
        "limit=",
        "timeoutSeconds=1e3",
        "fieldSelector=metadata.name",
        "fieldSelector=metadata.name%3Da%5Cb",
        "x=1#y",
    ],
)
def test_query_that_reads_in_more_than_one_way_is_refused(query):
    assert status("GET", f"{SECRETS}?{query}") == 400


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    "query",
    [
        *("stdin=true&stdin=false&command=sh", "tty=false&tty=true&command=sh", "container=a&container=b&command=sh"),
        *("command=sh&stdout=1&stdout=1", "stdin=true", "command=a%00b", "tty=tru%C3%A9&command=a"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_exec_that_reads_in_more_than_one_way_is_refused(method, query):
    assert status(method, f"{POD}/exec?{query}") == 400


@pytest.mark.threat("T36")
@pytest.mark.parametrize("ports", ["0", "65536", "-1", "80,", "80,x", "%2B80", "1e2", ""])
def test_port_that_is_none_is_refused(ports):
    assert status("GET", f"{POD}/portforward?ports={ports}") == 400


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("OPTIONS", SECRETS),
            ("TRACE", SECRETS),
            ("CONNECT", SECRETS),
            ("get", SECRETS),
            ("WATCH", SECRETS),
            ("", SECRETS),
        ),
        *(("DELETE", f"{POD}/exec?command=ls"), ("PUT", f"{POD}/attach"), ("HEAD", f"{POD}/portforward")),
        *(("POST", "/api/v1/watch/pods"), ("DELETE", "/api/v1/watch/namespaces/shop/pods/web")),
    ],
)
def test_method_that_the_api_server_has_not_is_refused(method, path):
    assert status(method, path) == 405


@pytest.mark.threat("T36")
def test_method_override_is_refused():
    assert status("POST", f"{POD}/eviction", b"{}", X_HTTP_Method_Override="DELETE") == 400


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    "header",
    [
        *("Impersonate_User", "Impersonate.User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes"),
        *("Impersonate-Unheard", "Impersonate-Extra-", "impersonate_group"),
    ],
)
def test_impersonation_in_another_spelling_or_of_nobody_is_refused(header):
    with pytest.raises(Undecodable):
        decode(method="GET", path=SECRETS, headers=[(header.encode(), b"x")], body=b"")


@pytest.mark.threat("T36")
def test_endless_target_is_refused():
    assert status("GET", f"{POD}/exec?command=" + "a" * (1 << 19)) == 414
    assert status("GET", f"{POD}/exec?" + "command=a&" * 20_001) == 414


@pytest.mark.threat("T37")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"{SECRETS}/db", {"metadata": {"name": "other"}}),
        ("PUT", f"{SECRETS}/db", {"metadata": {"name": "db", "namespace": "kube-system"}}),
        ("POST", SECRETS, {"metadata": {"name": "db", "namespace": "kube-system"}}),
        ("POST", SECRETS, {"apiVersion": "v2", "kind": "Secret", "metadata": {"name": "db"}}),
        ("POST", SECRETS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "db"}}),
        ("POST", SECRETS, {"metadata": {"name": "../x"}}),
        ("POST", SECRETS, {"metadata": {"name": "a/b"}}),
        ("POST", SECRETS, {"metadata": {"name": 7}}),
        ("POST", SECRETS, {"metadata": "name"}),
        ("POST", SECRETS, {"metadata": []}),
        ("POST", SECRETS, {"kind": 1}),
        ("POST", f"{POD}/eviction", {"metadata": {"name": "other"}}),
        ("POST", f"{POD}/eviction", {"metadata": {"name": "web", "namespace": "kube-system"}}),
        ("POST", f"{POD}/eviction", {"apiVersion": "policy/v1", "kind": "Pod"}),
        ("POST", f"{POD}/binding", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}),
        ("PUT", f"{DEPLOYMENT}/scale", {"apiVersion": "apps/v1", "kind": "Deployment"}),
        ("PUT", f"{DEPLOYMENT}/status", {"apiVersion": "v1", "kind": "Pod"}),
        ("PUT", "/api/v1/namespaces/shop/finalize", {"metadata": {"name": "kube-system"}}),
        ("POST", "/api/v1/namespaces/shop/serviceaccounts/bot/token", {"metadata": {"name": "admin"}}),
        ("DELETE", f"{SECRETS}/db", {"kind": "Secret"}),
        ("DELETE", f"{SECRETS}/db?dryRun=All", {"kind": "DeleteOptions"}),
        ("DELETE", f"{SECRETS}?dryRun=All", {"gracePeriodSeconds": 0}),
        ("DELETE", f"{SECRETS}/db?propagationPolicy=Orphan", {"propagationPolicy": "Foreground"}),
        ("DELETE", f"{SECRETS}/db?gracePeriodSeconds=30", {"gracePeriodSeconds": 0}),
        ("DELETE", f"{SECRETS}/db?orphanDependents=true", {}),
        ("DELETE", f"{SECRETS}/db", {"dryRun": "All"}),
        ("DELETE", f"{SECRETS}/db", {"dryRun": ["all"]}),
        ("DELETE", f"{SECRETS}/db", {"dryRun": ["All", "All"]}),
        ("DELETE", f"{SECRETS}/db?dryRun=", None),
        ("POST", f"{POD}/eviction", {"deleteOptions": {"dryRun": ["None"]}}),
        ("POST", f"{POD}/eviction", {"deleteOptions": "All"}),
        ("POST", f"{SECRETS}?dryRun=true", {}),
    ],
    ids=lambda v: v if isinstance(v, str) else json.dumps(v),
)
def test_body_at_odds_with_path_or_query_is_refused(method, path, body):
    assert status(method, path, b"" if body is None else json.dumps(body).encode()) == 400


@pytest.mark.threat("T37")
@pytest.mark.parametrize("kind", ["merge-patch", "strategic-merge-patch"])
def test_patch_that_renames_is_refused(kind):
    body = b'{"metadata": {"name": "other"}}'
    assert status("PATCH", f"{SECRETS}/db", body, Content_Type=f"application/{kind}+json") == 400


@pytest.mark.threat("T37")
def test_apply_to_another_object_is_refused():
    body = b"apiVersion: v1\nmetadata:\n  name: db\n  namespace: kube-system\n"
    assert status("PATCH", f"{SECRETS}/db", body, Content_Type="application/apply-patch+yaml") == 400


@pytest.mark.threat("T38")
@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata": {"name": "a"}, "metadata": {"name": "b"}}',
        b'{"metadata": {"name": "a", "n\\u0061me": "b"}}',
        b'{"a": 1} {"b": 2}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": 0.12345678901234567890123}',
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\\ud800"}',
        b"[]",
        b'"secret"',
        b"null",
        b"metadata: {name: a}",
        b"k8s\x00\x0a\x00",
        b'{"a":' * 200 + b"1" + b"}" * 200,
    ],
)
def test_json_that_reads_in_more_than_one_way_is_refused(body):
    assert status("POST", SECRETS, body, Content_Type="application/json") == 400


@pytest.mark.threat("T38")
@pytest.mark.parametrize(
    "body",
    [
        b"a: &x 1\nb: *x\n",
        b"a: &x 1\n",
        b"a: !!binary aGk=\n",
        b"a: !custom 1\n",
        b"<<: {a: 1}\n",
        b'"<<": {a: 1}\n',
        b"a: 1\n---\nb: 2\n",
        b"%YAML 1.1\n---\na: 1\n",
        b"%TAG ! tag:x,2000:\n---\na: 1\n",
        b"a: 1\na: 2\n",
        b"1: a\n",
        b"? {a: 1}\n: b\n",
        b"? [a]\n: b\n",
        b"true: a\n",
        b"null: a\n",
        *(
            b"a: %s\n" % w
            for w in b"yes No on OFF y N True FALSE Null 0777 0o17 0x1F 0b1 1_000 1:30 +1 1. .5 1e3".split()
        ),
        *(b"a: %s\n" % w for w in b".inf -.INF .nan 2026-11-01 2026-11-01T00:00:00Z -0 12345678901234567890".split()),
        b"a: =\n",
        b"a: '1\xc2\x85b'\n",
        b'a: "1\xe2\x80\xa8b"\n',
        b'{"a": "1\xe2\x80\xa8b"}',
        b'{"a": 1, "a": 2}',
        b'{"<<": {"a": 1}}',
        b"\xff\xfea",
        b"a: \xff\n",
        b"- a\n",
        b"a\n",
        b"",
        b"# nothing\n",
        b"a: [1\n",
        b"a:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 80)),
    ],
)
def test_yaml_that_reads_in_more_than_one_way_is_refused(body):
    assert status("PATCH", f"{SECRETS}/db", body, Content_Type="application/apply-patch+yaml") == 400


@pytest.mark.threat("T38")
@pytest.mark.parametrize(
    "operations",
    [
        {"op": "remove", "path": "/data"},
        [{"op": "destroy", "path": "/data"}],
        [{"op": "remove"}],
        [{"op": "remove", "path": "data"}],
        [{"op": "remove", "path": "/a~2"}],
        [{"op": "remove", "path": 1}],
        [{"op": "add", "path": "/data"}],
        [{"op": "move", "path": "/data", "from": "x"}],
        [{"op": "remove", "path": "/data", "value": 1}],
        [{"op": "remove", "path": "/data", "Path": "/other"}],
        ["remove"],
        [{"op": "remove", "path": "/data"}] * 10_001,
    ],
    ids=range(12),
)
def test_json_patch_that_is_none_is_refused(operations):
    body = json.dumps(operations).encode()
    assert status("PATCH", f"{SECRETS}/db", body, Content_Type="application/json-patch+json") == 400


@pytest.mark.threat("T38")
@pytest.mark.parametrize(
    ("method", "media"),
    [
        ("POST", "application/cbor"),
        ("POST", "application/cbor-seq"),
        ("PATCH", "application/apply-patch+cbor"),
        ("POST", "application/x-www-form-urlencoded"),
        ("POST", "multipart/form-data; boundary=x"),
        ("POST", "text/plain"),
        ("POST", "application/json; charset=utf-16"),
        ("POST", 'application/json; charset="latin1"'),
        ("POST", "application/merge-patch+json"),
        ("POST", "application/json, application/cbor"),
        ("POST", "*/*"),
        ("PATCH", ""),
        ("PATCH", "application/json"),
        ("PATCH", "application/yaml"),
    ],
)
def test_form_of_body_that_nobody_inspects_is_refused(method, media):
    path = f"{SECRETS}/db" if method == "PATCH" else SECRETS
    headers = {"Content_Type": media} if media else {}
    assert status(method, path, b"{}", **headers) == 415


@pytest.mark.threat("T38")
@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x-unknown"])
def test_compressed_body_is_refused(coding):
    assert status("POST", SECRETS, b"{}", Content_Encoding=coding) == 415


@pytest.mark.threat("T38")
@pytest.mark.parametrize(("method", "path"), [("GET", SECRETS), ("HEAD", SECRETS), ("POST", f"{POD}/exec?command=ls")])
def test_body_where_none_belongs_is_refused(method, path):
    assert status(method, path, b"{}") == 400


@pytest.mark.threat("T38")
def test_patch_without_a_body_is_refused():
    assert status("PATCH", f"{SECRETS}/db", b"", Content_Type="application/merge-patch+json") == 400


@pytest.mark.threat("T38")
@pytest.mark.parametrize("accept", ["application/vnd.kubernetes.protobuf", "application/cbor", "application/json;q=0"])
def test_answer_in_a_form_that_nobody_inspects_cannot_be_asked_for(accept):
    assert status("GET", SECRETS, Accept=accept) == 406
