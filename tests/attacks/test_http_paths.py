"""T02: a path that the gateway and the upstream could read differently goes nowhere."""

import pytest

from holdpoint.protocols import http
from holdpoint.protocols.call import Undecodable

pytestmark = pytest.mark.threat("T02")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "a",
        "http://other/a",
        "//other/a",
        "/a//b",
        "/a/../b",
        "/a/./b",
        "/..",
        "/.",
        "/a/..;/b",
        "/a;x=1/b",
        "/a%3bx",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/a\\b",
        "/%2e%2e/b",
        "/.%2E/b",
        "/a%252fb",
        "/a%25",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%00b",
        "/a%0ab",
        "/a%0d%0aX:1",
        "/a%1f",
        "/a%7f",
        "/a%ff",
        "/a%c0%ae",
        "/a%ed%a0%80",
        "/a\0b",
        "/a\nb",
        "/a\tb",
        "/a b",
        "/a#b",
        "/ä",
        "/a?x=\n",
        "/a?x=%ff",
        "/a?x=%",
        "/a?x#y",
        "/a?ä",
    ],
    ids=ascii,
)
def test_an_ambiguous_path_is_refused(path):
    with pytest.raises(Undecodable):
        http.decode(method="GET", host="h", path=path, headers=[], body=b"")


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/a/", "/a/"),
        ("/a.b/..c/d..", "/a.b/..c/d.."),
        ("/a%20b", "/a b"),
        ("/%E2%82%AC", "/€"),
        ("/~a-b_c:d@e!f", "/~a-b_c:d@e!f"),
        ("/a%3Fb", "/a?b"),
    ],
)
def test_a_clear_path_is_decoded_once(path, plain):
    call = http.decode(method="GET", host="h", path=path, headers=[], body=b"")
    assert call.resource.path == plain


@pytest.mark.parametrize("name", [b"X-HTTP-Method-Override", b"x-http-method", b"X_Method_Override"])
def test_a_method_override_is_refused(name):
    with pytest.raises(Undecodable, match="override"):
        http.decode(method="POST", host="h", path="/", headers=[(name, b"DELETE")], body=b"")


@pytest.mark.parametrize("name", [b"Content-Length", b"Host", b"Content-Type", b"Content_Type"])
def test_a_header_that_frames_the_request_stands_once(name):
    headers = [(b"content-length", b"0"), (b"host", b"h"), (b"content-type", b"application/json"), (name, b"1")]
    with pytest.raises(Undecodable, match="twice"):
        http.decode(method="POST", host="h", path="/", headers=headers, body=b"")
