import asyncio
import base64
import re
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.fakes.issuer import FakeIssuer
from tests.fakes.issuer_settings import settings_for
from tests.fakes.sleep import ManualSleep

from holdpoint.clock import ManualClock
from holdpoint.domain.access import Protocol
from holdpoint.identity.documents import parse_object
from holdpoint.identity.errors import LoginError
from holdpoint.identity.fetch import post
from holdpoint.identity.login import Logins, Terminal, where_to_log_in
from holdpoint.identity.token_files import TokenFiles
from holdpoint.identity.verify import Verifier
from holdpoint.settings import Address, Issuer, Keys, Listener, Recordings, Settings, Target

RESOURCE = "https://gateway.example/mcp"


@pytest.fixture
def issuer(idp: FakeIssuer) -> Issuer:
    return settings_for(idp, algorithms=frozenset({"ES256"}), audiences=frozenset({RESOURCE}))


@pytest.fixture
def logins(issuer: Issuer, clock: ManualClock, tmp_path: Path) -> Logins:
    return Logins(issuer, TokenFiles(tmp_path / "tokens"), clock)


class Browser:
    """Fills in the login form like a person, and follows the redirect unless told to tamper with it."""

    def __init__(self, *, email: str = "alice@corp.example", **tamper: str | None) -> None:
        self.form = {"email": email, "password": email.partition("@")[0]}
        self.tamper = tamper
        self.asked: dict[str, list[str]] = {}
        self.answers: list[tuple[int, str]] = []

    def __call__(self, url: str) -> None:
        self.asked = parse_qs(urlsplit(url).query)
        with httpx.Client(trust_env=False) as client:
            page = client.get(url)
            assert 'name="password"' in page.text
            location = client.post(url, data=self.form).headers["location"]
            for changed in self.locations(location):
                answer = client.get(changed)
                self.answers.append((answer.status_code, answer.text.strip()))

    def locations(self, location: str) -> list[str]:
        url = httpx.URL(location)
        for name, value in self.tamper.items():
            url = url.copy_remove_param(name) if value is None else url.copy_set_param(name, value)
        return [str(url)]


def terminal(browser: Browser) -> Terminal:
    return Terminal(show=lambda _: None, open_browser=browser)


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return parse_object(base64.urlsafe_b64decode(payload + "=="))


async def test_login_by_browser_gives_a_token_that_the_gateway_accepts(
    logins: Logins, issuer: Issuer, clock: ManualClock
):
    browser = Browser()
    stored = await logins.by_browser(terminal(browser), resource=RESOURCE)
    assert browser.answers[0][0] == 200
    verifier = Verifier([issuer], clock)
    principal = await verifier.verify(stored.access_token, audiences=frozenset(), issuers=frozenset())
    reviewer = await verifier.verify_reviewer(
        await logins.id_token(max_age=3600), client_ids=frozenset({"holdpoint-cli"}), issuers=frozenset(), max_age=60
    )
    await verifier.close()
    assert principal.person == reviewer.person == "alice@corp.example"
    assert await logins.access_token(resource=RESOURCE) == stored.access_token


async def test_login_asks_with_pkce_state_nonce_and_resource(logins: Logins):
    browser = Browser()
    await logins.by_browser(terminal(browser), resource=RESOURCE)
    asked = {name: values[0] for name, values in browser.asked.items()}
    assert asked["code_challenge_method"] == "S256"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", asked["redirect_uri"])
    assert asked["resource"] == RESOURCE
    assert asked["scope"] == "openid email profile"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert min(len(asked[n]) for n in ("state", "nonce", "code_challenge")) >= 43


async def test_secrets_of_a_login_are_never_used_again(logins: Logins):
    first, second = Browser(), Browser()
    await logins.by_browser(terminal(first), resource=RESOURCE)
    await logins.by_browser(terminal(second), resource=RESOURCE)
    for name in ("state", "nonce", "code_challenge"):
        assert first.asked[name] != second.asked[name]


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        pytest.param({"iss": "https://evil.example"}, "another identity provider", id="iss of another issuer"),
        pytest.param({"iss": None}, "another identity provider", id="iss missing though promised"),
        pytest.param({"error": "access_denied"}, "refused: `access_denied`", id="error"),
        pytest.param({"code": None}, "sent no code", id="no code"),
        pytest.param({"code": "stolen"}, "refused: `invalid_grant`", id="another code"),
    ],
)
async def test_wrong_answer_ends_the_login(logins: Logins, tamper: dict[str, str | None], why: str):
    with pytest.raises(LoginError, match=why):
        await logins.by_browser(terminal(Browser(**tamper)), resource=RESOURCE)
    assert logins.files.all_of(logins.issuer.url, "holdpoint-cli") == []


async def test_answer_with_another_state_is_turned_away_and_waited_past(logins: Logins):
    class Attacked(Browser):
        def locations(self, location: str) -> list[str]:
            url = httpx.URL(location)
            return [
                str(url.copy_set_param("state", "guess")),
                str(url.copy_remove_param("state")),
                f"{location}&code=stolen",
                str(url.copy_with(path="/favicon.ico")),
                str(url.copy_with(host="localhost")),
                location,
            ]

    browser = Attacked()
    await logins.by_browser(terminal(browser), resource=RESOURCE)
    assert [status for status, _ in browser.answers] == [400, 400, 400, 404, 400, 200]


async def test_silent_connection_does_not_hold_the_login_up(logins: Logins):
    class Preconnecting(Browser):
        def locations(self, location: str) -> list[str]:
            url = httpx.URL(location)
            self.silent = socket.create_connection((url.host, url.port or 0))
            return [location]

    browser = Preconnecting()
    async with asyncio.timeout(5):
        await logins.by_browser(terminal(browser), resource=RESOURCE)
    browser.silent.close()


async def test_id_token_with_another_nonce_ends_the_login(logins: Logins, idp: FakeIssuer):
    class Replaying(Browser):
        def locations(self, location: str) -> list[str]:
            for granted in idp.grants.codes.values():
                granted.nonce = "that of another login"
            return [location]

    with pytest.raises(LoginError, match="answers another login"):
        await logins.by_browser(terminal(Replaying()), resource=RESOURCE)


async def test_id_token_signed_by_nobody_known_ends_the_login(logins: Logins, idp: FakeIssuer):
    async def forging(url: str, fields: Mapping[str, str], *, ca_file: Path | None) -> tuple[int, bytes]:
        status, body = await post(url, fields, ca_file=ca_file)
        idp.rotate("ES256")
        return status, body

    changed = Logins(logins.issuer, logins.files, logins.clock, post=forging)
    with pytest.raises(LoginError, match="an ID token that does not count"):
        await changed.by_browser(terminal(Browser()), resource=RESOURCE)


async def test_login_that_nobody_finishes_ends(logins: Logins):
    with pytest.raises(LoginError, match="nobody logged in within"):
        await logins.by_browser(Terminal(show=lambda _: None), resource=RESOURCE, within=0.01)


async def test_login_without_a_browser_shows_where_to_go(logins: Logins):
    lines: list[str] = []
    with pytest.raises(LoginError):
        await logins.by_browser(Terminal(show=lines.append), resource=RESOURCE, within=0.01)
    assert lines[0].startswith(f"log in at {logins.issuer.url}/authorize?response_type=code&")


async def test_token_near_its_end_is_refreshed_and_the_refresh_token_rotates(logins: Logins, clock: ManualClock):
    before = await logins.by_browser(terminal(Browser()), resource=RESOURCE)
    clock.advance(541)
    token = await logins.access_token(resource=RESOURCE)
    after = logins.files.read(before.issuer, before.client_id, RESOURCE)
    assert after is not None
    assert token == after.access_token != before.access_token
    assert after.refresh_token != before.refresh_token
    assert claims_of(token)["aud"] == RESOURCE


async def test_refreshes_at_once_use_each_refresh_token_once(logins: Logins, clock: ManualClock, idp: FakeIssuer):
    await logins.by_browser(terminal(Browser()), resource=RESOURCE)
    clock.advance(541)
    idp.requests.clear()
    tokens = await asyncio.gather(*(logins.access_token(resource=RESOURCE) for _ in range(5)))
    assert len(set(tokens)) == 1
    assert idp.requests.count("/token") == 1


async def test_refresh_token_that_ended_asks_for_a_login(logins: Logins, clock: ManualClock, idp: FakeIssuer):
    await logins.by_browser(terminal(Browser()), resource=RESOURCE)
    idp.grants.refresh.clear()
    clock.advance(541)
    for why in ("the login has ended, run `holdpoint login`", "nobody is logged in here"):
        with pytest.raises(LoginError, match=why):
            await logins.access_token(resource=RESOURCE)


async def test_refresh_keeps_the_login_when_the_issuer_is_down(logins: Logins, clock: ManualClock, idp: FakeIssuer):
    await logins.by_browser(terminal(Browser()), resource=RESOURCE)
    clock.advance(541)
    idp.faults.set("error")
    with pytest.raises(LoginError, match="answered 500"):
        await logins.access_token(resource=RESOURCE)
    idp.faults.clear()
    assert await logins.access_token(resource=RESOURCE)


async def test_refresh_that_answers_for_somebody_else_is_refused(logins: Logins, clock: ManualClock, idp: FakeIssuer):
    await logins.by_browser(terminal(Browser()), resource=RESOURCE)
    for granted in idp.grants.refresh.values():
        granted.user = idp.grants.users[1]
    clock.advance(541)
    with pytest.raises(LoginError, match="answered for somebody else"):
        await logins.access_token(resource=RESOURCE)


async def test_id_token_is_refreshed_when_it_is_too_old(logins: Logins, clock: ManualClock):
    first = (await logins.by_browser(terminal(Browser()), resource=RESOURCE)).id_token
    clock.advance(200)
    assert await logins.id_token(max_age=600) == first
    second = await logins.id_token(max_age=200)
    assert claims_of(second)["iat"] == claims_of(first)["iat"] + 200


async def test_id_token_that_cannot_be_refreshed_asks_for_a_login(logins: Logins, clock: ManualClock, idp: FakeIssuer):
    idp.id_token_on_refresh = False
    await logins.by_browser(terminal(Browser()), resource=RESOURCE)
    clock.advance(600)
    with pytest.raises(LoginError, match="the login is too old, run `holdpoint login`"):
        await logins.id_token(max_age=3600)


async def test_nobody_logged_in_is_said(logins: Logins):
    with pytest.raises(LoginError, match="nobody is logged in here"):
        await logins.access_token(resource=RESOURCE)
    with pytest.raises(LoginError, match="run `holdpoint login`"):
        await logins.id_token(max_age=3600)


async def test_login_by_code_polls_until_the_person_is_done(issuer: Issuer, clock: ManualClock, tmp_path: Path):
    sleep, lines = ManualSleep(), list[str]()
    logins = Logins(issuer, TokenFiles(tmp_path / "tokens"), clock, sleep=sleep)
    login = asyncio.ensure_future(logins.by_code(Terminal(show=lines.append), resource=RESOURCE))
    assert await sleep.next() == 1.0
    sleep.wake()
    assert await sleep.next() == 1.0
    page, code = re.fullmatch(r"log in at (\S+) with the code (\S+)", lines[0]).groups()  # type: ignore[union-attr]
    async with httpx.AsyncClient(trust_env=False) as client:
        form = {"user_code": code, "email": "alice@corp.example", "password": "alice"}
        assert (await client.post(page, data=form)).status_code == 200
    sleep.wake()
    stored = await login
    assert claims_of(stored.access_token)["aud"] == RESOURCE
    assert claims_of(stored.id_token)["email"] == "alice@corp.example"


async def test_login_by_code_ends_with_the_code(issuer: Issuer, clock: ManualClock, tmp_path: Path):
    async def sleep(_: float) -> None:
        clock.advance(100)

    logins = Logins(issuer, TokenFiles(tmp_path / "tokens"), clock, sleep=sleep)
    with pytest.raises(LoginError, match=r"before the code ended|refused: `expired_token`"):
        await logins.by_code(Terminal(show=lambda _: None), resource=RESOURCE)


def target(**changes: Any) -> Target:
    base: dict[str, Any] = {
        "name": "tools",
        "protocol": Protocol.MCP,
        "scheme": "http",
        "host": "127.0.0.1",
        "port": 1,
        "path": "",
    }
    return Target(**(base | changes))


def settings(issuers: list[Issuer], *targets: Target) -> Settings:
    return Settings(
        file=Path("gateway.yaml"),
        listeners=(Listener("main", "reverse", Address("127.0.0.1", 1)),),
        keys=Keys(Path("ca"), "k", (), Path("digest")),
        issuers=tuple(issuers),
        targets=targets,
        policies=(),
        store=Path("store"),
        recordings=Recordings(Path("recordings")),
        admin_socket=Path("admin"),
    )


def test_target_names_issuer_and_resource(issuer: Issuer):
    assert where_to_log_in(settings([issuer], target()), "tools") == (issuer, RESOURCE)
    own = target(audiences=frozenset({"https://b.example", "https://a.example"}))
    assert where_to_log_in(settings([issuer], own), "tools")[1] == "https://a.example"


GATEWAY = Listener("main", "reverse", Address("127.0.0.1", 1), url="https://gateway.example")
PROD, OPS, ELSE = "https://gateway.example/k8s/prod", "https://gateway.example/mcp/ops", "https://api.example"


@pytest.mark.parametrize(
    ("listed", "own", "asked"),
    [
        pytest.param({PROD, OPS}, set(), OPS, id="its URI among the issuer's"),
        pytest.param({PROD, ELSE}, set(), ELSE, id="the issuer's that is no other target's"),
        pytest.param({PROD}, set(), OPS, id="its URI where the issuer lists another target's alone"),
        pytest.param({PROD, OPS}, {"https://ops.example"}, "https://ops.example", id="its own before its URI"),
        pytest.param({PROD}, {"https://a.example", OPS}, OPS, id="its URI among its own"),
        pytest.param({ELSE, "https://b.example"}, set(), ELSE, id="always the same where nothing tells"),
    ],
)
def test_a_login_asks_for_what_opens_this_target_and_no_other(
    issuer: Issuer, listed: set[str], own: set[str], asked: str
):
    prod = target(name="prod", protocol=Protocol.KUBERNETES, routes=("/k8s/prod",))
    ops = target(name="ops", routes=("/mcp/ops",), audiences=frozenset(own))
    told = replace(settings([replace(issuer, audiences=frozenset(listed))], prod, ops), listeners=(GATEWAY,))
    assert where_to_log_in(told, "ops")[1] == asked


@pytest.mark.parametrize(
    ("changes", "uri"),
    [
        pytest.param({"hosts": ("ops.example",), "path": "/mcp"}, "https://ops.example/mcp", id="a host of its own"),
        pytest.param({"host": "::1", "port": 80, "path": "/mcp"}, "http://[::1]/mcp", id="by a forward listener"),
    ],
)
def test_the_uri_of_a_target_is_found_on_every_road(issuer: Issuer, changes: dict[str, Any], uri: str):
    forward = Listener("proxy", "forward", Address("127.0.0.1", 2), url="http://127.0.0.1:2")
    told = settings([replace(issuer, audiences=frozenset({uri, "https://a.example"}))], target(**changes))
    assert where_to_log_in(replace(told, listeners=(forward, GATEWAY)), "tools")[1] == uri


def test_unclear_login_is_said(idp: FakeIssuer, issuer: Issuer):
    second = settings_for(idp, name="second")
    with pytest.raises(LoginError, match="there is no target `x`; known: `tools`"):
        where_to_log_in(settings([issuer], target()), "x")
    with pytest.raises(LoginError, match="say which issuer to use: `idp`, `second`"):
        where_to_log_in(settings([issuer, second], target()), "tools")
    assert where_to_log_in(settings([issuer, second], target()), "tools", issuer="second")[0] is second
    assert where_to_log_in(settings([issuer, second], target(issuers=frozenset({"idp"}))), "tools")[0] is issuer
    with pytest.raises(LoginError, match="no issuer offers a login"):
        where_to_log_in(settings([settings_for(idp, login_client_id="")], target()), "tools")
    with pytest.raises(LoginError, match="accepts no audience"):
        where_to_log_in(settings([settings_for(idp, audiences=frozenset())], target()), "tools")


DIGEST = "sha256:" + "ab" * 32


async def test_a_confirmation_carries_the_digest_and_keeps_nothing(logins: Logins, tmp_path: Path):
    browser, shown = Browser(), list[str]()
    token = await logins.confirm(Terminal(shown.append, browser), digest=DIGEST)
    assert parse_object(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["nonce"] == DIGEST
    assert browser.asked["nonce"] == [DIGEST]
    assert not {"prompt", "resource"} & browser.asked.keys()
    assert shown[0].startswith("confirm your decision at ")
    assert not list((tmp_path / "tokens").rglob("*.json"))


async def test_a_confirmation_asks_for_a_new_login_where_it_has_to(logins: Logins):
    browser = Browser()
    await logins.confirm(Terminal(lambda _: None, browser), digest=DIGEST, again=True)
    assert (browser.asked["prompt"], browser.asked["max_age"]) == (["login"], ["300"])


async def test_a_confirmation_of_another_decision_is_none(logins: Logins, idp: FakeIssuer):
    def wrong(query: dict[str, str], user: dict[str, Any]) -> str:
        return issue(query | {"nonce": "sha256:" + "00" * 32}, user)

    issue, idp.grants.issue_code = idp.grants.issue_code, wrong  # type: ignore[method-assign]
    with pytest.raises(LoginError, match="answers another login"):
        await logins.confirm(Terminal(lambda _: None, Browser()), digest=DIGEST)
