"""The decoder of Kubernetes: whatever comes, a Call or Undecodable, and one reading of it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from holdpoint.domain.access import KubeObject
from holdpoint.domain.canonical import digest
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.kubernetes import strict_yaml
from holdpoint.protocols.kubernetes.decode import decode

METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
PARTS = st.sampled_from(
    [
        *("api", "apis", "v1", "apps", "namespaces", "shop", "pods", "web", "exec", "proxy", "watch", "status", "log"),
        *("finalize", "%2e", "..", "", "%2F", "a%20b", "portforward", "secrets", "%C3%A9", "https:web:1"),
    ]
)
PATHS = st.lists(PARTS, max_size=10).map(lambda parts: "/" + "/".join(parts))
PAIRS = st.tuples(
    st.sampled_from(["watch", "dryRun", "command", "tty", "fieldSelector", "ports", "limit", "x", "", "%77atch"]),
    st.sampled_from(["", "true", "0", "All", "metadata.name%3Da", "80", "%00", "%", "a;b", "FALSE", "ls"]),
)
QUERIES = st.lists(PAIRS, max_size=4).map(lambda pairs: "&".join(f"{k}={v}" for k, v in pairs))
MEDIA = st.sampled_from(
    [
        *(b"application/json", b"application/yaml", b"application/apply-patch+yaml", b"application/json-patch+json"),
        *(b"application/merge-patch+json", b"application/vnd.kubernetes.protobuf", b"text/plain", b""),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()) | st.just(b"")


def attempt(method: str, target: str, media: bytes, body: bytes) -> Call | None:
    headers = [(b"Content-Type", media)] if media else []
    try:
        return decode(method=method, path=target, headers=headers, body=body)
    except Undecodable:
        return None


@given(METHODS, PATHS, QUERIES, MEDIA, BODIES)
def test_everything_is_a_call_or_undecodable(method: str, path: str, query: str, media: bytes, body: bytes) -> None:
    call = attempt(method, f"{path}?{query}" if query else path, media, body)
    if call is not None:
        assert digest(call.intent)
        if isinstance(call.resource, KubeObject):
            assert "/" not in call.resource.name + call.resource.namespace + call.resource.resource
            assert call.is_write is (call.action.verb not in {"get", "list", "watch"})


@given(st.text(max_size=80))
def test_any_target_is_a_call_or_undecodable(target: str) -> None:
    attempt("GET", target, b"", b"")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_yaml_is_a_value_or_undecodable(data: bytes) -> None:
    try:
        strict_yaml.loads(data)
    except Undecodable:
        return


@given(JSON)
def test_json_in_quotes_reads_the_same_as_yaml(value: object) -> None:
    text = json.dumps(value)
    try:
        read = strict_yaml.loads(text.encode())
    except Undecodable:
        return
    assert read == value
