import pytest

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.bearer import bearer_token, refuse_token_in_query, refuse_token_in_subprotocol

NOT_AUTHENTICATED = RefusalKind.UNAUTHENTICATED
BAD = RefusalKind.BAD_REQUEST


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(b"Authorization", b"Bearer abc.def.ghi", id="usual"),
        pytest.param(b"authorization", b"bearer abc.def.ghi", id="lower case"),
        pytest.param(b"AUTHORIZATION", b"BEARER abc.def.ghi", id="upper case"),
        pytest.param(b"Authorization", b"Bearer   abc.def.ghi ", id="more blanks"),
    ],
)
def test_token_is_read_from_the_header(name: bytes, value: bytes):
    assert bearer_token([(b"host", b"gateway"), (name, value)]) == "abc.def.ghi"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        pytest.param([], NOT_AUTHENTICATED, id="no headers"),
        pytest.param([(b"x-authorization", b"Bearer abc")], NOT_AUTHENTICATED, id="another header"),
        pytest.param([(b"proxy-authorization", b"Bearer abc")], NOT_AUTHENTICATED, id="that of the proxy"),
        pytest.param([(b"authorization", b"Basic YTpi")], NOT_AUTHENTICATED, id="basic"),
        pytest.param([(b"authorization", b"")], NOT_AUTHENTICATED, id="empty"),
        pytest.param([(b"authorization", b"Bearerabc")], NOT_AUTHENTICATED, id="no blank"),
        pytest.param([(b"authorization", b"abc.def.ghi")], NOT_AUTHENTICATED, id="no scheme"),
        pytest.param([(b"authorization", b"Bearer")], BAD, id="scheme alone"),
        pytest.param([(b"authorization", b"Bearer ")], BAD, id="empty token"),
        pytest.param([(b"authorization", b"Bearer abc, Bearer def")], BAD, id="joined"),
        pytest.param([(b"authorization", b"Bearer abc def")], BAD, id="two words"),
        pytest.param([(b"authorization", b"Bearer\tabc")], NOT_AUTHENTICATED, id="tab"),
        pytest.param([(b"authorization", b"Bearer abc\n")], BAD, id="line break"),
        pytest.param([(b"authorization", b"Bearer \xc3\xa9")], BAD, id="not ASCII"),
        pytest.param([(b"authorization", b"Bearer abc=def")], BAD, id="padding within"),
        pytest.param([(b"authorization", b'Bearer token="abc"')], BAD, id="parameters"),
        pytest.param([(b"authorization", b"Bearer abc")] * 2, BAD, id="twice the same"),
        pytest.param([(b"authorization", b"Bearer abc"), (b"Authorization", b"Basic x")], BAD, id="two schemes"),
    ],
)
def test_anything_but_one_bearer_token_is_refused(headers: list[tuple[bytes, bytes]], kind: RefusalKind):
    with pytest.raises(Refusal) as caught:
        bearer_token(headers)
    assert caught.value.kind is kind
    assert caught.value.challenge.startswith("Bearer")
    assert "abc" not in str(caught.value) + caught.value.detail


@pytest.mark.parametrize(
    "target",
    [
        "/x?access_token=abc",
        "/x?a=1&access_token=abc",
        "/x?a=1;Access_Token=abc",
        "/x?access%5Ftoken=abc",
        "/x?%61ccess_token",
        "/x?+access_token+=abc",
        "/x?a?access_token=b&access_token=abc",
    ],
)
def test_token_in_the_query_is_refused_without_repeating_it(target: str):
    with pytest.raises(Refusal) as caught:
        refuse_token_in_query(target)
    assert (caught.value.kind, caught.value.challenge) == (BAD, 'Bearer error="invalid_request"')
    assert "abc" not in str(caught.value) + caught.value.detail


@pytest.mark.parametrize("target", ["/x", "/access_token", "/x?", "/x?a=access_token", "/x?my_access_token=1"])
def test_other_queries_pass(target: str):
    refuse_token_in_query(target)


@pytest.mark.threat("T55")
@pytest.mark.parametrize(
    "value",
    [
        b"base64url.bearer.authorization.k8s.io.dG9rZW4",
        b"v5.channel.k8s.io, Base64URL.Bearer.Authorization.K8s.io.dG9rZW4",
    ],
    ids=["alone", "beside a channel"],
)
@pytest.mark.parametrize("name", [b"Sec-WebSocket-Protocol", b"sec_websocket_protocol"])
def test_token_in_the_name_of_a_subprotocol_is_refused(name: bytes, value: bytes):
    with pytest.raises(Refusal) as caught:
        refuse_token_in_subprotocol([(b"authorization", b"Bearer x"), (name, value)])
    assert caught.value.kind is RefusalKind.BAD_REQUEST


def test_other_subprotocols_pass():
    refuse_token_in_subprotocol([(b"sec-websocket-protocol", b"v5.channel.k8s.io, v4.channel.k8s.io")])
