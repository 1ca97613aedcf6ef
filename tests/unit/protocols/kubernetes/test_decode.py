"""What a request asks, for the decision: RequestInfo, the body, and verbs of the gateway's own."""

import json
from urllib.parse import quote

import pytest

from holdpoint.domain.access import KubeObject, KubeOptions, KubePath
from holdpoint.domain.canonical import digest
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.kubernetes.decode import decode

SECRETS = "/api/v1/namespaces/shop/secrets"
PODS = "/api/v1/namespaces/shop/pods"
EXEC = f"{PODS}/web/exec?container=main&stderr=true&stdout=true&command="


def ask(method: str, path: str, body: object = None, media: str = "application/json", **headers: str) -> Call:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if data and media:
        fields.append((b"Content-Type", media.encode()))
    return decode(method=method, path=path, headers=fields, body=data)


def kube(call: Call) -> KubeObject:
    assert isinstance(call.resource, KubeObject)
    return call.resource


@pytest.mark.parametrize(
    ("method", "path", "verb", "resource"),
    [
        ("GET", f"{SECRETS}/db", "get", KubeObject("", "v1", "secrets", "", "shop", "db")),
        ("DELETE", f"{SECRETS}/db", "delete", KubeObject("", "v1", "secrets", "", "shop", "db")),
        ("DELETE", SECRETS, "deletecollection", KubeObject("", "v1", "secrets", "", "shop")),
        ("GET", f"{PODS}/web/log", "get", KubeObject("", "v1", "pods", "log", "shop", "web")),
        ("POST", f"{PODS}/web/attach", "attach", KubeObject("", "v1", "pods", "attach", "shop", "web")),
        ("GET", f"{PODS}/web/attach", "attach", KubeObject("", "v1", "pods", "attach", "shop", "web")),
        ("GET", f"{PODS}/web/proxy/a/b?x=1&x=2", "proxy", KubeObject("", "v1", "pods", "proxy", "shop", "web")),
        ("PUT", "/api/v1/nodes/n:10250/proxy/run", "proxy", KubeObject("", "v1", "nodes", "proxy", "", "n:10250")),
        (
            *("GET", "/api/v1/namespaces/shop/services/https:web:443/proxy/", "proxy"),
            KubeObject("", "v1", "services", "proxy", "shop", "https:web:443"),
        ),
        ("GET", "/api/v1/proxy/nodes/n/run", "proxy", KubeObject("", "v1", "nodes", "proxy", "", "n")),
        ("GET", "/api/v1/watch/namespaces/shop/pods", "watch", KubeObject("", "v1", "pods", "", "shop")),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", "get", None),
        (
            *("GET", "/apis/x.example.com/v1/clusters/edge/proxy/api/v1/secrets", "proxy"),
            KubeObject("x.example.com", "v1", "clusters", "proxy", "", "edge"),
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_verb_and_object_are_those_of_the_path(method, path, verb, resource):
    call = ask(method, path)
    assert call.action.verb == verb
    expected = resource or KubeObject("rbac.authorization.k8s.io", "v1", "clusterroles", "", "", "system:node")
    assert kube(call) == expected


@pytest.mark.parametrize("path", ["/version", "/healthz", "/api", "/apis/apps/v1", "/openapi/v3?timeout=32s", "/"])
def test_path_that_is_no_resource_is_a_path(path):
    call = ask("GET", path)
    assert (call.action.verb, call.resource, call.is_write) == ("get", KubePath(path.partition("?")[0]), False)


def test_head_of_an_object_reads_it_and_of_a_path_heads_it():
    assert ask("HEAD", f"{SECRETS}/db").action.verb == "get"
    assert ask("HEAD", "/healthz").action.verb == "head"


@pytest.mark.parametrize(
    ("method", "path", "is_write"),
    [
        ("GET", SECRETS, False),
        ("GET", f"{SECRETS}?watch=1", False),
        ("GET", f"{SECRETS}/a", False),
        ("HEAD", f"{SECRETS}/a", False),
        ("GET", f"{PODS}/web/exec?command=ls", True),
        ("GET", f"{PODS}/web/proxy/", True),
        ("GET", f"{PODS}/web/portforward", True),
        ("DELETE", SECRETS, True),
        ("POST", "/version", True),
    ],
)
def test_only_reads_are_no_writes(method, path, is_write):
    assert ask(method, path).is_write is is_write


def test_options_of_the_query_are_read_as_the_api_server_reads_them():
    call = ask("GET", f"{PODS}?labelSelector=app%3Dweb%2Ctier+in+(a)&fieldSelector=status.phase%3DRunning&watch=")
    assert kube(call).options == KubeOptions(
        label_selector="app=web,tier in (a)", field_selector="status.phase=Running"
    )
    assert call.action.verb == "watch"


@pytest.mark.parametrize(("value", "is_set"), [("true", True), ("", True), ("1", True), ("no", True), ("False", False)])
def test_stdin_and_tty_count_by_value(value, is_set):
    options = kube(ask("POST", f"{EXEC}sh&stdin={value}&tty={value}")).options
    assert (options.stdin, options.tty, options.container) == (is_set, is_set, "main")


def test_exec_is_one_verb_over_both_protocols_and_has_one_intent():
    over_websocket, over_spdy = (
        ask("GET", f"{EXEC}sh&command=-c&command=a%0Ab+%26"),
        ask("POST", f"{EXEC}sh&command=-c&command=a%0Ab+%26", Kubectl_Session="1"),
    )
    assert over_websocket.action.verb == over_spdy.action.verb == "exec"
    assert kube(over_spdy).options.command == ("sh", "-c", "a\nb &")
    assert digest(over_websocket.intent) == digest(over_spdy.intent)


@pytest.mark.parametrize(
    ("argv", "stdin", "tty", "verb"),
    [
        (["tar", "cf", "-", "/tmp/x"], False, False, "cp"),
        (["tar", "-xmf", "-", "-C", "/tmp"], True, False, "cp"),
        (["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-", "-C", "/tmp"], True, False, "cp"),
        (["tar", "-xmf", "-"], True, False, "cp"),
        (["test", "-d", "/tmp/x"], False, False, "cp"),
        (["tar", "cf", "-", "/tmp/x"], False, True, "exec"),
        (["tar", "cf", "-", "/tmp/x"], True, False, "exec"),
        (["tar", "-xmf", "-", "-C", "/tmp"], False, False, "exec"),
        (["tar", "cf", "-", "--checkpoint-action=exec=sh"], False, False, "exec"),
        (["tar", "cf", "-", "-I", "sh"], False, False, "exec"),
        (["tar", "cf", "-", "/a", "/b"], False, False, "exec"),
        (["tar", "-xmf", "-", "-C", "/tmp", "--to-command=sh"], True, False, "exec"),
        (["tar", "-xmf", "-", "-C", "--to-command=sh"], True, False, "exec"),
        (["sh", "-c", "tar cf - /tmp/x | tail -c+1"], False, False, "exec"),
        (["/tmp/tar", "cf", "-", "/tmp/x"], False, False, "exec"),
        (["test", "-d", ""], False, False, "exec"),
    ],
)
def test_exec_is_a_copy_only_as_kubectl_cp_makes_it(argv, stdin, tty, verb):
    command = "&".join(f"command={quote(part)}" for part in argv)
    call = ask("POST", f"{PODS}/web/exec?{command}&stdin={str(stdin).lower()}&tty={str(tty).lower()}")
    assert (call.action.verb, kube(call).options.command) == (verb, tuple(argv))


def test_ports_of_a_port_forward_are_numbers():
    assert kube(ask("GET", f"{PODS}/web/portforward?ports=80,443&ports=9090")).options.ports == (80, 443, 9090)


def test_created_object_is_named_by_its_body():
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": {"a": "b"}}
    call = ask("POST", SECRETS, secret)
    assert (call.action.verb, kube(call).name, call.arguments) == ("create", "db", secret)


def test_generated_name_leaves_the_name_empty():
    assert kube(ask("POST", SECRETS, {"metadata": {"generateName": "db-"}})).name == ""


def test_namespace_in_the_body_does_not_count_where_the_path_has_none():
    call = ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "a", "namespace": "x"}})
    assert (kube(call).namespace, kube(call).name) == ("", "a")


@pytest.mark.parametrize(
    ("media", "body", "arguments"),
    [
        ("application/merge-patch+json", {"data": {"a": None}}, {"data": {"a": None}}),
        ("application/strategic-merge-patch+json", {"$patch": "delete"}, {"$patch": "delete"}),
        ("application/apply-patch+yaml", b"data:\n  a: b\n", {"data": {"a": "b"}}),
        ("application/apply-patch+yaml", b'{"data": {"a": "b"}}', {"data": {"a": "b"}}),
        (
            "application/json-patch+json",
            [{"op": "remove", "path": "/data/a~1b"}],
            {"$patch": [{"op": "remove", "path": "/data/a~1b"}]},
        ),
    ],
)
def test_patch_of_every_type_is_shown(media, body, arguments):
    call = ask("PATCH", f"{SECRETS}/db", body, media)
    assert (call.action.verb, kube(call).name, call.arguments) == ("patch", "db", arguments)


def test_intent_tells_one_type_of_patch_from_another():
    merge, strategic = (
        ask("PATCH", f"{SECRETS}/db", {"a": None}, f"application/{kind}+json")
        for kind in ("merge-patch", "strategic-merge-patch")
    )
    assert digest(merge.intent) != digest(strategic.intent)


@pytest.mark.parametrize(
    ("query", "body", "is_dry"),
    [
        ("", None, False),
        ("?dryRun=All", None, True),
        ("", {"kind": "DeleteOptions", "dryRun": ["All"]}, True),
        ("?dryRun=All", {"dryRun": ["All"]}, True),
        ("", {"dryRun": []}, False),
        ("", {"propagationPolicy": "Background"}, False),
    ],
)
def test_dry_run_of_a_delete_is_that_of_the_body_where_there_is_one(query, body, is_dry):
    assert kube(ask("DELETE", f"{SECRETS}/db{query}", body)).options.dry_run is is_dry


@pytest.mark.parametrize(
    ("method", "path", "body", "is_dry"),
    [
        ("POST", f"{SECRETS}?dryRun=All", {"metadata": {"name": "a"}}, True),
        ("PUT", f"{SECRETS}/a?dryRun=All", {"metadata": {"name": "a"}}, True),
        ("POST", f"{PODS}/web/eviction", {"deleteOptions": {"dryRun": ["All"]}}, True),
        ("POST", f"{PODS}/web/eviction?dryRun=All", {}, True),
        ("POST", "/api/v1/namespaces/shop/serviceaccounts/bot/token?dryRun=All", {"spec": {}}, False),
        ("POST", f"{EXEC}ls&dryRun=All", None, False),
        ("GET", f"{SECRETS}?dryRun=All", None, False),
    ],
)
def test_dry_run_counts_where_the_api_server_heeds_it(method, path, body, is_dry):
    assert kube(ask(method, path, body)).options.dry_run is is_dry


def test_body_without_a_content_type_is_json():
    assert kube(ask("POST", SECRETS, {"metadata": {"name": "a"}}, media="")).name == "a"


def test_intent_is_the_same_for_retries_of_one_request():
    one = ask("GET", f"{SECRETS}?watch=1&timeoutSeconds=301&limit=5", User_Agent="kubectl/v1", Kubectl_Session="a")
    other = ask(
        "GET", f"{SECRETS}?limit=%35&watch=true&timeoutSeconds=499", User_Agent="kubectl/v2", Kubectl_Session="b"
    )
    assert digest(one.intent) == digest(other.intent)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("DELETE", f"{PODS}/a", None), ("DELETE", f"{PODS}/a?gracePeriodSeconds=0", None)),
        (("GET", f"{PODS}/a/proxy/x", None), ("GET", f"{PODS}/a/proxy/x/", None)),
        (("GET", f"{PODS}/a/proxy/x?a=1&a=2", None), ("GET", f"{PODS}/a/proxy/x?a=2&a=1", None)),
        (("GET", f"{PODS}/a/proxy/x", None), ("DELETE", f"{PODS}/a/proxy/x", None)),
        (("POST", SECRETS, {"data": {"a": "1"}}), ("POST", SECRETS, {"data": {"a": "2"}})),
        (("POST", f"{EXEC}a&command=b", None), ("POST", f"{EXEC}b&command=a", None)),
    ],
)
def test_intent_differs_where_what_happens_does(one, other):
    assert digest(ask(*one).intent) != digest(ask(*other).intent)


def test_caller_is_named_by_its_own_word():
    call = ask("GET", "/version", User_Agent="kubectl/v1.36.4 (linux/amd64) kubernetes/abc")
    assert call.unverified == {"client": "kubectl", "client_version": "v1.36.4"}


def test_whom_a_request_asks_to_be_taken_for_is_decided_with_it():
    call = ask("GET", SECRETS, Impersonate_User="bob", Impersonate_Group="ops")
    assert [(m.action.verb, kube(m).resource, kube(m).name) for m in call.members] == [
        ("impersonate", "users", "bob"),
        ("impersonate", "groups", "ops"),
    ]


def test_intent_says_whom_a_request_asks_to_be_taken_for():
    alone, bob, eve, ops = (
        ask("GET", SECRETS),
        ask("GET", SECRETS, Impersonate_User="bob"),
        ask("GET", SECRETS, Impersonate_User="eve"),
        ask("GET", SECRETS, Impersonate_User="bob", Impersonate_Group="ops"),
    )
    assert len({digest(call.intent) for call in (alone, bob, eve, ops)}) == 4


@pytest.mark.parametrize("header", ["Impersonate-User", "impersonate-user", "IMPERSONATE-USER"])
def test_spelling_of_a_header_does_not_count(header):
    call = decode(method="GET", path=SECRETS, headers=[(header.encode(), b"bob")], body=b"")
    assert [kube(m).name for m in call.members] == ["bob"]


def test_manifest_of_ten_megabytes_is_decoded():
    body = json.dumps({"metadata": {"name": "big"}, "data": {f"k{n}": "x" * 1000 for n in range(10_000)}}).encode()
    call = decode(method="POST", path=SECRETS, headers=[], body=body, max_bytes=16 << 20)
    assert kube(call).name == "big"


def test_argv_of_a_hundred_kilobytes_is_decoded():
    script = "%27" * 100_000
    assert kube(ask("POST", f"{EXEC}{script}")).options.command == ("'" * 100_000,)


def test_body_over_the_limit_of_its_target_is_too_large():
    with pytest.raises(Undecodable) as caught:
        decode(method="POST", path=SECRETS, headers=[], body=b'{"a":"' + b"x" * 2000 + b'"}', max_bytes=1000)
    assert caught.value.status == 413
