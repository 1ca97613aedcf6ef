import json

import pytest

from holdpoint.domain.refusal import HTTP_STATUS, Refusal, RefusalKind
from holdpoint.protocols import mcp, mcp_refusals, sse, strict_json
from holdpoint.protocols.call import Undecodable

LEGACY = ["2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
WAITING = [RefusalKind.HELD, RefusalKind.EXPIRED, RefusalKind.REVIEW_DENIED]


def render(kind, *, public="not now", request_id=7, version=MODERN, verb="tools/call", **more):
    rendered = mcp.refusal(
        Refusal(kind, public, detail="rule secret-rule said no", **more),
        refusal_id="ref-1",
        request_id=request_id,
        protocol_version=version,
        verb=verb,
    )
    return rendered, strict_json.loads(rendered.body)


def test_every_kind_has_a_code_of_its_own_outside_of_what_json_rpc_keeps():
    assert set(mcp_refusals.CODES) == set(RefusalKind)
    ours = {kind: code for kind, code in mcp_refusals.CODES.items() if kind is not RefusalKind.BAD_REQUEST}
    assert len(set(ours.values())) == len(ours)
    for kind, code in ours.items():
        assert code // 10 == HTTP_STATUS[kind]


@pytest.mark.parametrize("kind", RefusalKind)
@pytest.mark.parametrize("version", [MODERN, ""])
def test_a_refusal_is_a_json_rpc_error_with_its_own_status(kind, version):
    rendered, body = render(kind, version=version, verb="tools/list")
    assert rendered.status == HTTP_STATUS[kind]
    assert body["jsonrpc"] == "2.0"
    assert body["id"] == 7
    assert body["error"]["message"] == "not now"
    assert body["error"]["data"] == {"refusal": "ref-1", "kind": kind.value}
    assert "secret-rule" not in rendered.body.decode()


@pytest.mark.parametrize("kind", WAITING)
@pytest.mark.parametrize("version", [*LEGACY, MODERN, ""])
def test_a_model_reads_that_its_tool_call_waits(kind, version):
    rendered, body = render(kind, version=version, ticket="apr-1", link="https://console/a/apr-1")
    assert rendered.status == 200
    result = body["result"]
    assert result["isError"] is True
    text = result["content"][0]["text"]
    assert "apr-1" in text
    assert "https://console/a/apr-1" in text
    assert "call again" in text
    assert "Nothing was done" in text
    assert result.get("resultType") == (None if version in LEGACY else "complete")
    assert result["_meta"]["holdpoint/refusal"] == {
        "refusal": "ref-1",
        "kind": kind.value,
        "ticket": "apr-1",
        "link": "https://console/a/apr-1",
    }


def test_a_model_reads_when_to_come_again():
    _, body = render(RefusalKind.HELD, retry_after=30)
    assert "Retry after: 30 s" in body["result"]["content"][0]["text"]
    assert body["result"]["_meta"]["holdpoint/refusal"]["retryAfter"] == 30


@pytest.mark.parametrize("kind", WAITING)
def test_what_is_no_tool_call_gets_an_error_while_it_waits(kind):
    for verb, request_id in [("resources/read", 1), ("tools/call", None), ("response", None)]:
        rendered, body = render(kind, verb=verb, request_id=request_id, ticket="apr-1")
        assert rendered.status == 403
        assert body["error"]["data"]["ticket"] == "apr-1"


@pytest.mark.parametrize("version", LEGACY)
@pytest.mark.parametrize("kind", RefusalKind)
def test_a_legacy_client_sees_the_error_of_its_request(kind, version):
    rendered, body = render(kind, version=version, verb="tools/list")
    acted_on = {"unauthenticated", "bad_request", "not_found", "too_large", "not_acceptable", "rate_limited"}
    assert rendered.status == (HTTP_STATUS[kind] if kind.value in acted_on else 200)
    assert body["id"] == 7
    assert "error" in body


def test_a_step_up_keeps_its_status_for_everybody():
    for version in [*LEGACY, MODERN]:
        rendered, _ = render(RefusalKind.DENIED, version=version, challenge='Bearer error="insufficient_scope"')
        assert rendered.status == 403
        assert ("WWW-Authenticate", 'Bearer error="insufficient_scope"') in rendered.headers


@pytest.mark.parametrize("version", [*LEGACY, MODERN])
def test_what_is_owed_no_answer_keeps_its_status(version):
    rendered, body = render(RefusalKind.DENIED, version=version, request_id=None, verb="session/listen")
    assert rendered.status == 403
    assert body["id"] is None


def test_a_400_makes_no_modern_client_fall_back():
    rendered, body = render(RefusalKind.BAD_REQUEST, verb="")
    assert (rendered.status, body["error"]["code"]) == (400, -32020)


def test_headers_say_when_to_come_again():
    rendered, body = render(RefusalKind.UNAVAILABLE, retry_after=5)
    assert ("Retry-After", "5") in rendered.headers
    assert ("Content-Type", "application/json") in rendered.headers
    assert ("Cache-Control", "no-store") in rendered.headers
    assert body["error"]["data"]["retryAfter"] == 5


@pytest.mark.parametrize("public", ["\ud800", "a\nb", "x" * 10_000, ""], ids=["surrogate", "lines", "long", "empty"])
@pytest.mark.parametrize("verb", ["tools/call", "ping"])
def test_no_words_make_a_refusal_fail(public, verb):
    rendered, _ = render(RefusalKind.HELD, public=public, verb=verb)
    assert rendered.body


@pytest.mark.parametrize("request_id", [0, "", "a", 2**80, "\u2028"], ids=repr)
def test_the_request_id_comes_back_as_it_was(request_id):
    _, body = render(RefusalKind.DENIED, request_id=request_id)
    assert body["id"] == request_id
    assert type(body["id"]) is type(request_id)


def test_a_refusal_fits_into_a_stream():
    event = mcp.refusal_event(
        Refusal(RefusalKind.HELD, "held\n\ndata: x"), refusal_id="r", request_id=1, protocol_version="", verb="ping"
    )
    (parsed,) = sse.Parser().feed(event)
    assert parsed.type == "message"
    assert parsed.data is not None
    assert json.loads(parsed.data)["error"]["message"] == "held\n\ndata: x"  # as a client does


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Undecodable("x", code=-32700), 400, -32700),
        (Undecodable("x"), 400, -32600),
        (Undecodable("x", status=413), 413, 4130),
        (Undecodable("x", status=405, allow="POST"), 405, -32600),
        (Undecodable("x", status=415), 415, -32600),
        (Undecodable("x", code=-32601, status=404), 404, -32601),
    ],
    ids=["parse error", "bad request", "too large", "method", "media type", "no such method"],
)
def test_what_cannot_be_decoded_gets_a_json_rpc_error(error, status, code):
    rendered = mcp.undecodable(error, refusal_id="ref-1")
    body = strict_json.loads(rendered.body)
    assert rendered.status == status
    assert body == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": code, "message": "x", "data": {"refusal": "ref-1", "kind": error.refusal().kind.value}},
    }
    assert (("Allow", "POST") in rendered.headers) is (status == 405)


def test_an_unsupported_version_is_answered_with_what_is_supported():
    with pytest.raises(Undecodable) as caught:
        mcp.decode(
            method="POST",
            headers=[(b"content-type", b"application/json"), (b"mcp-protocol-version", b"v9")],
            body=b'{"jsonrpc":"2.0","id":"q","method":"server/discover"}',
        )
    body = strict_json.loads(mcp.undecodable(caught.value, refusal_id="ref-1").body)
    assert body["id"] == "q"
    assert body["error"]["code"] == -32022
    assert body["error"]["data"]["supported"][-1] == MODERN
    assert body["error"]["data"]["refusal"] == "ref-1"


def test_a_modern_400_without_a_code_is_a_recognised_error():
    error = Undecodable("x")
    error.protocol_version = MODERN
    assert strict_json.loads(mcp.undecodable(error, refusal_id="r").body)["error"]["code"] == -32020


@pytest.mark.parametrize(("version", "status"), [*((v, 200) for v in LEGACY), (MODERN, 400), ("", 400)])
def test_bad_parameters_do_not_end_a_legacy_session(version, status):
    error = Undecodable("x", code=-32602, request_id=4)
    error.protocol_version = version
    rendered = mcp.undecodable(error, refusal_id="r")
    assert rendered.status == status
    assert strict_json.loads(rendered.body)["error"]["code"] == -32602
