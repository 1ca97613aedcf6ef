from collections.abc import AsyncGenerator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.fakes.console_browser import Browser, browser_of, issuer_settings, request_wire
from tests.fakes.issuer import Fault

from holdpoint.clock import ManualClock
from holdpoint.console.id_token import LoginRefused
from holdpoint.console.oidc import KEY_COOLDOWN, Provider, is_protected
from holdpoint.console.sessions import Flows
from holdpoint.settings import Reviewers


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of() as browser:
        browser.gateway.add(request_wire())
        yield browser


def names(answer: httpx.Response) -> dict[str, str]:
    """Cookies that an answer sets, by name, with everything after."""
    return dict(line.split("=", 1) for line in answer.headers.get_list("set-cookie"))


async def test_a_page_leads_to_the_login_and_the_login_back_to_the_page(browser: Browser) -> None:
    answer = await browser.get("/requests/apr-1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Frequests%2Fapr-1")
    answer = await browser.log_in("/requests/apr-1")
    assert answer.headers["location"] == "/requests/apr-1"
    assert (await browser.get("/requests/apr-1")).status_code == 200


async def test_the_login_asks_by_code_with_pkce_state_and_nonce(browser: Browser) -> None:
    query = parse_qs(urlsplit(await browser.go_to_issuer()).query)
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["https://console.example/auth/callback"]
    assert query["scope"] == ["openid email profile"]
    again = parse_qs(urlsplit(await browser.go_to_issuer()).query)
    assert all(query[name] != again[name] for name in ("state", "nonce", "code_challenge"))


async def test_cookies_hold_random_names_and_are_bound_to_host_tls_and_site(browser: Browser) -> None:
    cookies = names(await browser.log_in())
    assert set(cookies) == {"__Host-holdpoint-session", "__Host-holdpoint-decide"}
    for line in cookies.values():
        value, _, rest = line.partition(";")
        assert len(value) == 43
        assert {"HttpOnly", "Secure", "Path=/"} <= {part.strip() for part in rest.split(";")}
    assert "SameSite=lax" in cookies["__Host-holdpoint-session"]
    assert "SameSite=strict" in cookies["__Host-holdpoint-decide"]


async def test_on_loopback_without_tls_cookies_have_no_prefix() -> None:
    async with browser_of("http://127.0.0.1:8321") as browser:
        cookies = names(await browser.log_in())
        assert set(cookies) == {"holdpoint-session", "holdpoint-decide"}
        assert "secure" not in str(cookies).lower()


async def test_no_page_and_no_cookie_holds_the_id_token(browser: Browser) -> None:
    answer = await browser.log_in()
    page = await browser.get("/requests/apr-1")
    token = browser.gateway.calls[-1][1]["id_token"]
    assert isinstance(token, str)
    assert token.count(".") == 2
    assert token not in str(answer.headers) + page.text + str(page.headers)


async def test_an_answer_is_taken_once(browser: Browser) -> None:
    back = await browser.give_password(await browser.go_to_issuer())
    assert (await browser.get(back)).status_code == 303
    again = await browser.get(back)
    assert again.status_code == 400
    assert "set-cookie" not in again.headers


async def test_an_answer_cannot_write_a_line_into_the_log(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    state = httpx.URL(await browser.go_to_issuer()).params["state"]
    forged = "x`\n2026-11-21 INFO login of `admin@corp.example\x1b[2J"
    query = {"state": state, "iss": browser.issuer.url, "error": forged}
    answer = await browser.get("/auth/callback", params=query)
    assert answer.status_code == 403
    assert "a login failed" in caplog.text
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize("wrong", ["iss", "no iss", "state", "code", "error"])
async def test_a_wrong_answer_of_the_issuer_logs_nobody_in(browser: Browser, wrong: str) -> None:
    url = httpx.URL(await browser.give_password(await browser.go_to_issuer()))
    match wrong:
        case "iss":
            url = url.copy_set_param("iss", "https://evil.example")
        case "no iss":
            url = url.copy_remove_param("iss")
        case "error":
            url = url.copy_set_param("error", "access_denied")
        case _:
            url = url.copy_set_param(wrong, "wrong")
    answer = await browser.get(str(url))
    assert answer.status_code in {400, 403}
    assert "set-cookie" not in answer.headers
    assert "Log in again" in answer.text


@pytest.mark.parametrize("fault", ["error", "garbage", "redirect", "foreign"])
async def test_an_issuer_that_is_not_well_gives_a_page_that_says_so(browser: Browser, fault: Fault) -> None:
    browser.issuer.faults.set(fault, "/.well-known/openid-configuration")
    answer = await browser.get("/login", params={"next": "/requests/apr-1"})
    assert answer.status_code == 503
    assert "The login failed" in answer.text
    assert "/login?next=%2Frequests%2Fapr-1" in answer.text


async def test_a_token_endpoint_that_is_not_well_logs_nobody_in(browser: Browser) -> None:
    back = await browser.give_password(await browser.go_to_issuer())
    browser.issuer.faults.set("error", "/token")
    answer = await browser.get(back)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_keys_are_fetched_again_when_the_issuer_changed_them(browser: Browser) -> None:
    await browser.log_in()
    browser.issuer.rotate("ES256")
    browser.clock.advance(KEY_COOLDOWN)
    await browser.log_in()
    assert browser.issuer.requests.count("/jwks") == 2


async def test_unknown_keys_are_not_fetched_at_every_login(browser: Browser) -> None:
    await browser.log_in()
    browser.issuer.faults.set("empty", "/jwks")
    browser.issuer.rotate("ES256")
    for _ in range(2):
        answer = await browser.get(await browser.give_password(await browser.go_to_issuer()))
        assert answer.status_code == 403
    assert browser.issuer.requests.count("/jwks") == 1


async def test_logging_out_ends_the_session_on_the_server(browser: Browser) -> None:
    await browser.log_in()
    kept = dict(browser.http.cookies)
    page = (await browser.get("/")).text
    token = page.split('name="token" value="')[1].split('"')[0]
    answer = await browser.post("/logout", {"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/goodbye")
    assert "Logged out" in (await browser.get("/goodbye")).text
    browser.http.cookies.clear()
    assert (await browser.get("/", headers={"cookie": "; ".join(f"{k}={v}" for k, v in kept.items())})).is_redirect


async def test_a_session_lasts_no_longer_than_the_gateway_takes_the_login() -> None:
    async with browser_of(reviewers=Reviewers(max_age=100)) as browser:
        await browser.log_in()
        browser.clock.advance(99)
        assert (await browser.get("/")).status_code == 200
        browser.clock.advance(1)
        assert (await browser.get("/")).is_redirect


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"], None])
async def test_a_confidential_client_proves_itself_as_the_issuer_wants(methods: list[str] | None) -> None:
    asked: list[httpx.Request] = []
    url = "https://idp.example"
    document = {"issuer": url, "authorization_endpoint": f"{url}/a?x=1", "token_endpoint": f"{url}/t"}
    document |= {"jwks_uri": f"{url}/k", "token_endpoint_auth_methods_supported": methods}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=document) if request.method == "GET" else httpx.Response(400)

    async with browser_of() as browser, httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        settings = issuer_settings(browser.issuer, url=url)
        provider = Provider(
            settings, client_id="c", client_secret="s:€", redirect_uri="https://x/", http=http, clock=ManualClock()
        )
        assert (await provider.login_url(Flows(ManualClock()).begin(browser_cookie="", then="/"))).startswith(
            "https://idp.example/a?x=1&response_type=code"
        )
        with pytest.raises(LoginRefused, match="status 400"):
            await provider.redeem("code", verifier="v", nonce="n")
    by_post = methods == ["client_secret_post"]
    assert (b"client_secret=s%3A%E2%82%AC" in asked[-1].content) is by_post
    assert asked[-1].headers.get("authorization") == (None if by_post else "Basic YzpzJTNBJUUyJTgyJUFD")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://idp.example/a", True),
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
        ("http://localhost", True),
        ("http://idp.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("ftp://127.0.0.1", False),
        ("https://", False),
        ("", False),
    ],
)
def test_plain_http_is_for_loopback_alone(url: str, *, good: bool) -> None:
    assert is_protected(url) is good
