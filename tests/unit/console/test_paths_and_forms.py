import asyncio
from collections.abc import Mapping

import pytest
from starlette.requests import Request

from holdpoint.console.forms import BadForm, check_sender, read_form
from holdpoint.console.paths import login_path, safe_next

ORIGIN = "https://console.example"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("path", ["/", "/history", "/history?state=denied", "/requests/apr-01a", "/requests/a/full"])
def test_own_pages_are_kept(path: str) -> None:
    assert safe_next(path) == path


def test_the_login_leads_back_to_where_somebody_came_from() -> None:
    assert login_path("/requests/a") == "/login?next=%2Frequests%2Fa"
    assert login_path("/") == "/login"


def _request(body: bytes, headers: Mapping[str, str]) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


async def test_a_form_is_read_with_its_text_as_it_is() -> None:
    request = _request(b"verdict=approve&comment=a%0D%0A%E2%82%AC+b&empty=", {"content-type": FORM + "; charset=utf-8"})
    assert await read_form(request, origin=ORIGIN) == {"verdict": "approve", "comment": "a\r\n€ b", "empty": ""}


async def test_an_empty_form_has_no_fields() -> None:
    assert await read_form(_request(b"", {"content-type": FORM}), origin=ORIGIN) == {}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        pytest.param(b'{"verdict":"approve"}', "application/json", 415, id="json"),
        pytest.param(b"verdict=approve", "text/plain", 415, id="text"),
        pytest.param(b"a=" + b"x" * 70_000, FORM, 413, id="too large"),
        pytest.param(b"verdict=deny&verdict=approve", FORM, 400, id="field twice"),
        pytest.param(b"comment=%ff", FORM, 400, id="not utf-8"),
        pytest.param(b"comment=\xe9", FORM, 400, id="raw bytes"),
        pytest.param(b"verdict", FORM, 400, id="no value"),
        pytest.param(b"&".join(b"f%d=1" % i for i in range(30)), FORM, 400, id="too many fields"),
    ],
)
async def test_what_our_pages_do_not_send_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(BadForm) as caught:
        await read_form(_request(body, {"content-type": kind}), origin=ORIGIN)
    assert caught.value.status == status


async def test_a_form_that_does_not_come_is_not_waited_for() -> None:
    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    raw = [(b"content-type", FORM.encode())]
    request = Request({"type": "http", "method": "POST", "headers": raw}, receive)
    with pytest.raises(BadForm) as caught:
        await read_form(request, origin=ORIGIN, patience=0.01)
    assert caught.value.status == 408


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"sec-fetch-site": "same-origin", "origin": "null"}, id="a browser under no-referrer"),
        pytest.param({"origin": ORIGIN}, id="an old browser"),
        pytest.param({}, id="says nothing: the tokens decide"),
    ],
)
def test_our_own_sender_passes(headers: dict[str, str]) -> None:
    check_sender(headers, origin=ORIGIN)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"sec-fetch-site": "cross-site"}, id="cross-site"),
        pytest.param({"sec-fetch-site": "same-site", "origin": "null"}, id="same site, other origin"),
        pytest.param({"sec-fetch-site": "none"}, id="typed by hand"),
        pytest.param({"origin": "https://evil.example"}, id="other origin"),
        pytest.param({"origin": "http://console.example"}, id="other scheme"),
    ],
)
def test_a_sender_from_elsewhere_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadForm) as caught:
        check_sender(headers, origin=ORIGIN)
    assert caught.value.status == 403
