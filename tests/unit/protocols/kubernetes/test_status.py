"""Refusals as clients of Kubernetes read them."""

import json

import pytest

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import status


def answer(refused: Refusal) -> tuple[int, dict, dict]:
    rendered = status.refusal(refused, refusal_id="ex-1")
    return rendered.status, dict(rendered.headers), json.loads(rendered.body)


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (RefusalKind.UNAUTHENTICATED, 401, "Unauthorized"),
        (RefusalKind.BAD_REQUEST, 400, "BadRequest"),
        (RefusalKind.NOT_FOUND, 404, "NotFound"),
        (RefusalKind.DENIED, 403, "Forbidden"),
        (RefusalKind.HELD, 429, "TooManyRequests"),
        (RefusalKind.REVIEW_DENIED, 403, "Forbidden"),
        (RefusalKind.EXPIRED, 403, "Forbidden"),
        (RefusalKind.CONFLICT, 409, "Conflict"),
        (RefusalKind.TOO_LARGE, 413, "RequestEntityTooLarge"),
        (RefusalKind.RATE_LIMITED, 429, "TooManyRequests"),
        (RefusalKind.NOT_ACCEPTABLE, 406, "NotAcceptable"),
        (RefusalKind.UPSTREAM, 502, "BadGateway"),
        (RefusalKind.WITHHELD, 502, "BadGateway"),
        (RefusalKind.UNAVAILABLE, 503, "ServiceUnavailable"),
        (RefusalKind.FAULT, 503, "ServiceUnavailable"),
    ],
)
def test_refusal_of_every_kind_is_a_status(kind, code, reason):
    sent, headers, body = answer(Refusal(kind, "no"))
    assert (sent, headers["Content-Type"]) == (code, "application/json")
    causes = [{"reason": "HoldpointRefusal", "message": "ex-1"}, {"reason": "HoldpointKind", "message": kind.value}]
    assert body["details"]["causes"] == causes
    assert {k: v for k, v in body.items() if k != "details"} == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "holdpoint: no [ex-1]",
        "reason": reason,
        "code": code,
    }


def test_table_of_kinds_is_whole():
    assert {kind for kind in RefusalKind if status.code(Refusal(kind, "")) >= 400} == set(RefusalKind)


def test_held_request_is_asked_again_by_the_client_itself():
    held = Refusal(RefusalKind.HELD, "held for review", ticket="apr-1", link="https://console/apr-1", retry_after=5)
    code, headers, body = answer(held)
    assert (code, headers["Retry-After"], body["details"]["retryAfterSeconds"]) == (429, "1", 1)
    assert body["message"] == (
        "holdpoint: held for review at https://console/apr-1; run the same command again to wait on [ex-1]"
    )
    assert [c["message"] for c in body["details"]["causes"]] == ["ex-1", "held", "apr-1", "https://console/apr-1"]


@pytest.mark.parametrize("kind", [RefusalKind.DENIED, RefusalKind.REVIEW_DENIED, RefusalKind.EXPIRED])
def test_what_is_final_is_not_asked_again(kind):
    code, headers, body = answer(Refusal(kind, "no", ticket="apr-1"))
    assert code == 403
    assert "Retry-After" not in headers
    assert "retryAfterSeconds" not in body["details"]
    assert body["message"] == "holdpoint: no (apr-1) [ex-1]"


@pytest.mark.parametrize(
    ("code", "reason"), [(405, "MethodNotAllowed"), (414, "RequestURITooLong"), (415, "UnsupportedMediaType")]
)
def test_undecodable_request_keeps_its_status(code, reason):
    error = Undecodable("no", status=code, allow="GET" if code == 405 else "")
    refused = error.refusal()
    refused.__cause__ = error
    sent, headers, body = answer(refused)
    assert (sent, body["reason"], body["code"]) == (code, reason, code)
    assert headers.get("Allow") == ("GET" if code == 405 else None)


@pytest.mark.threat("T22")
@pytest.mark.parametrize("words", ["a\x1b[2Jb", "a\nError from server: b", "a\u202eb", "a\ud800b", "a\rb"])
def test_words_of_others_do_not_work_the_callers_terminal(words):
    body = answer(Refusal(RefusalKind.REVIEW_DENIED, f"a reviewer denied this: {words}"))[2]
    assert body["message"].isprintable()
    assert "<U+" in body["message"]


def test_challenge_goes_with_it():
    assert answer(Refusal(RefusalKind.UNAUTHENTICATED, "no", challenge="Bearer x"))[1]["WWW-Authenticate"] == "Bearer x"


def test_wait_that_was_asked_for_is_told_twice():
    _, headers, body = answer(Refusal(RefusalKind.UNAVAILABLE, "no", retry_after=5))
    assert (headers["Retry-After"], body["details"]["retryAfterSeconds"]) == ("5", 5)
