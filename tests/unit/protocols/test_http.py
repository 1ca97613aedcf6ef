import pytest

from holdpoint.domain.access import Action, HttpPath, Protocol
from holdpoint.domain.canonical import digest
from holdpoint.domain.refusal import HTTP_STATUS, Refusal, RefusalKind
from holdpoint.protocols import http, strict_json
from holdpoint.protocols.call import Call, Undecodable

JSON = (b"Content-Type", b"application/json")


def decode(method="GET", path="/", *, host="api.example", headers=(), body=b"", **more) -> Call:
    return http.decode(method=method, host=host, path=path, headers=headers, body=body, **more)


def test_a_request_says_method_host_path_and_query():
    call = decode("GET", "/v1/users/Z%C3%BCrich?b=2&a=x+y%26&a=&c", host="API.example")
    assert call.action == Action(Protocol.HTTP, "get")
    assert call.resource == HttpPath(
        "api.example", "/v1/users/Zürich", (("b", "2"), ("a", "x y&"), ("a", ""), ("c", ""))
    )
    assert call.arguments == {}
    assert not call.is_write


def test_a_json_object_is_the_arguments():
    call = decode("POST", "/scale", headers=[JSON], body=b'{"replicas":3}')
    assert call.arguments == {"replicas": 3}
    assert call.is_write


@pytest.mark.parametrize("body", [b"[1,2]", b'"x"', b"1", b"null"])
def test_other_json_is_one_argument(body):
    assert decode("POST", headers=[JSON], body=body).arguments == {"$body": strict_json.loads(body)}


@pytest.mark.parametrize(
    ("method", "is_write"),
    [("GET", False), ("HEAD", False), ("OPTIONS", False), ("POST", True), ("DELETE", True), ("PROPFIND", True)],
)
def test_unknown_methods_are_writes(method, is_write):
    assert decode(method).is_write is is_write


def test_a_target_may_name_its_own_reads():
    assert not decode("PROPFIND", reads=frozenset({"propfind"})).is_write
    assert decode("GET", reads=frozenset({"propfind"})).is_write


@pytest.mark.parametrize("method", ["get", "Get", "CONNECT", "TRACE", "", "GET ", "G\0T", "X" * 21])
def test_a_method_that_is_not_plain_is_refused(method):
    with pytest.raises(Undecodable) as caught:
        decode(method)
    assert caught.value.status == 405


@pytest.mark.parametrize("host", ["", "a b", "a@b", "a/b", "a:80", "-a", "a.", "ä", "a\n"])
def test_a_host_that_is_no_name_is_refused(host):
    with pytest.raises(Undecodable, match="host"):
        decode(host=host)


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "a-b.example", "[::1]"])
def test_names_and_addresses_are_hosts(host):
    assert decode(host=host).resource.host == host


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_body_where_none_belongs_is_refused(method):
    with pytest.raises(Undecodable, match="body"):
        decode(method, headers=[JSON], body=b"{}")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"content-type", b"text/plain")],
        [JSON, (b"content-encoding", b"gzip")],
    ],
    ids=["none", "form", "text", "compressed"],
)
def test_a_body_that_cannot_be_read_is_refused(headers):
    with pytest.raises(Undecodable) as caught:
        decode("POST", headers=headers, body=b'{"a":1}')
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/a?x=1&y=2"},
        {"path": "/a?x=1"},
        {"path": "/b?y=2&x=1"},
        {"method": "PUT"},
        {"host": "other"},
        {"body": b'{"n":2}'},
        {"body": b""},
    ],
    ids=["order of the query", "query", "path", "method", "host", "body", "no body"],
)
def test_whatever_differs_is_another_intent(other):
    said = {"method": "POST", "path": "/a?y=2&x=1", "headers": [JSON], "body": b'{"n":1}'}
    assert digest(decode(**said).intent) != digest(decode(**{**said, **other}).intent)


def test_the_order_of_keys_is_no_other_intent():
    one = decode("POST", headers=[JSON], body=b'{"a":1,"b":2}')
    other = decode("POST", headers=[JSON], body=b'{"b":2, "a":1}')
    assert digest(one.intent) == digest(other.intent)


def test_a_body_over_the_limit_is_refused():
    with pytest.raises(Undecodable) as caught:
        decode("POST", headers=[JSON], body=b'"' + b"x" * 100 + b'"', max_bytes=100)
    assert caught.value.status == 413


def test_an_endless_path_is_refused():
    with pytest.raises(Undecodable) as caught:
        decode(path="/" + "a" * 20_000)
    assert caught.value.status == 414


@pytest.mark.parametrize("kind", RefusalKind)
def test_a_refusal_is_problem_details(kind):
    refused = Refusal(
        kind, "not now", detail="secret-rule", ticket="apr-1", link="https://c/1", retry_after=3, challenge="Bearer"
    )
    rendered = http.refusal(refused, refusal_id="ref-1")
    assert rendered.status == HTTP_STATUS[kind]
    headers = dict(rendered.headers)
    assert headers["Content-Type"] == "application/problem+json"
    assert (headers["Retry-After"], headers["WWW-Authenticate"]) == ("3", "Bearer")
    body = strict_json.loads(rendered.body)
    assert body.pop("title")
    assert body == {
        "type": f"urn:holdpoint:refusal:{kind.value}",
        "status": HTTP_STATUS[kind],
        "detail": "not now",
        "refusal": "ref-1",
        "kind": kind.value,
        "ticket": "apr-1",
        "link": "https://c/1",
    }


def test_a_plain_refusal_has_no_empty_members():
    rendered = http.refusal(Refusal(RefusalKind.DENIED, "no"), refusal_id="ref-1")
    assert set(strict_json.loads(rendered.body)) == {"type", "title", "status", "detail", "refusal", "kind"}
    assert {name for name, _ in rendered.headers} == {"Content-Type", "Cache-Control"}


def test_what_cannot_be_decoded_keeps_its_status():
    rendered = http.undecodable(Undecodable("no", status=405, allow="GET"), refusal_id="ref-1")
    assert rendered.status == 405
    assert ("Allow", "GET") in rendered.headers
    assert strict_json.loads(rendered.body)["status"] == 405
