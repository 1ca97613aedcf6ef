import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.fakes.issuer import FakeIssuer, Fault
from tests.fakes.issuer_settings import settings_for
from tests.fakes.sleep import ManualSleep

from holdpoint.clock import ManualClock
from holdpoint.identity import fetch as fetch_module
from holdpoint.identity.fetch import FetchError, fetch
from holdpoint.identity.jwks import (
    COOLDOWN,
    LIFESPAN,
    MAX_BACKOFF,
    MAX_UNKNOWN,
    UNKNOWN_FOR,
    KeySource,
    KeysUnavailable,
    UnknownKey,
)
from holdpoint.settings import Issuer

STALE_FOR = 3_600.0


@pytest.fixture
def settings(idp: FakeIssuer) -> Issuer:
    return settings_for(idp, algorithms=frozenset({"ES256"}), stale_for=STALE_FOR)


@pytest.fixture
def sleep() -> ManualSleep:
    return ManualSleep()


@pytest_asyncio.fixture
async def source(settings: Issuer, clock: ManualClock, sleep: ManualSleep) -> AsyncIterator[KeySource]:
    source = KeySource(settings, clock, fetch=fetch, sleep=sleep)
    yield source
    await source.close()


def fetches(idp: FakeIssuer) -> int:
    return idp.requests.count("/jwks")


async def test_keys_are_fetched_by_discovery(idp: FakeIssuer, source: KeySource):
    key = await source.find(idp.keys[0].kid)
    assert key.algorithms == {"ES256"}
    assert idp.requests == ["/.well-known/openid-configuration", "/jwks"]


async def test_configured_jwks_url_needs_no_discovery(idp: FakeIssuer, clock: ManualClock):
    source = KeySource(settings_for(idp, jwks_url=f"{idp.url}/jwks"), clock, fetch=fetch)
    await source.find(idp.keys[0].kid)
    assert idp.requests == ["/jwks"]


async def test_known_key_causes_no_fetch(idp: FakeIssuer, source: KeySource):
    for _ in range(10):
        await source.find(idp.keys[0].kid)
    assert fetches(idp) == 1


async def test_start_returns_while_the_issuer_hangs(idp: FakeIssuer, source: KeySource, sleep: ManualSleep):
    idp.faults.set("hang")
    source.start()
    assert not source.is_usable
    idp.faults.clear()
    assert await sleep.next() == 0.8 * LIFESPAN
    assert source.is_usable


async def test_refresh_happens_in_the_background_at_80_percent(idp: FakeIssuer, source: KeySource, sleep: ManualSleep):
    source.start()
    assert await sleep.next() == 0.8 * LIFESPAN
    new = idp.rotate("ES256")
    sleep.wake()
    assert await sleep.next() == 0.8 * LIFESPAN
    assert source.current is not None
    assert set(source.current.keys) == {new.kid}


async def test_request_does_not_wait_for_a_refresh_that_hangs(
    idp: FakeIssuer, source: KeySource, sleep: ManualSleep, clock: ManualClock
):
    source.start()
    await sleep.next()
    idp.faults.set("hang")
    clock.advance(LIFESPAN)
    sleep.wake()
    async with asyncio.timeout(2):
        assert await source.find(idp.keys[0].kid)


async def test_failures_back_off_and_end_with_the_first_success(idp: FakeIssuer, source: KeySource, sleep: ManualSleep):
    idp.faults.set("error")
    source.start()
    pauses = []
    for _ in range(7):
        pauses.append(await sleep.next())
        sleep.wake()
    assert pauses == [1, 2, 4, 8, 16, MAX_BACKOFF, MAX_BACKOFF]
    await sleep.next()
    idp.faults.clear()
    sleep.wake()
    assert await sleep.next() == 0.8 * LIFESPAN


async def test_unexpected_error_does_not_end_the_keeper(idp: FakeIssuer, clock: ManualClock, sleep: ManualSleep):
    async def explode(url: str, *, ca_file: Path | None) -> bytes:
        raise ZeroDivisionError(url, ca_file)

    source = KeySource(settings_for(idp), clock, fetch=explode, sleep=sleep)
    source.start()
    assert await sleep.next() == 1
    sleep.wake()
    assert await sleep.next() == 2
    with pytest.raises(KeysUnavailable, match="ZeroDivisionError"):
        await source.find("any")
    await source.close()


async def test_many_callers_share_one_fetch(idp: FakeIssuer, source: KeySource):
    kid = idp.keys[0].kid
    found = await asyncio.gather(*(source.find(kid) for _ in range(50)))
    assert {k.kid for k in found} == {kid}
    assert fetches(idp) == 1


async def test_caller_that_leaves_does_not_take_the_fetch_along(idp: FakeIssuer, source: KeySource):
    idp.faults.set("hang", "/jwks")
    leaver, stayer = (asyncio.ensure_future(source.find(idp.keys[0].kid)) for _ in range(2))
    await idp.until_asked("/jwks")
    leaver.cancel()
    idp.faults.clear()
    assert (await stayer).kid == idp.keys[0].kid
    assert fetches(idp) == 1


async def test_close_ends_callers_that_wait(idp: FakeIssuer, source: KeySource):
    idp.faults.set("hang")
    waiting = asyncio.ensure_future(source.find("any"))
    await idp.until_asked("/.well-known/openid-configuration")
    await source.close()
    with pytest.raises(KeysUnavailable):
        await waiting


@pytest.mark.failure("F-kid")
async def test_new_key_is_found_at_once(idp: FakeIssuer, source: KeySource):
    await source.find(idp.keys[0].kid)
    new = idp.rotate("ES256", keep_old=True)
    assert (await source.find(new.kid)).kid == new.kid


@pytest.mark.failure("F-kid")
async def test_random_key_ids_cause_one_fetch_per_cooldown(idp: FakeIssuer, source: KeySource, clock: ManualClock):
    await source.find(idp.keys[0].kid)
    for number in range(50):
        with pytest.raises(UnknownKey):
            await source.find(f"random-{number}")
    assert fetches(idp) == 2
    clock.advance(COOLDOWN)
    with pytest.raises(UnknownKey):
        await source.find("random-next")
    assert fetches(idp) == 3


@pytest.mark.failure("F-kid")
async def test_key_id_known_to_be_unknown_causes_no_fetch(idp: FakeIssuer, source: KeySource, clock: ManualClock):
    await source.find(idp.keys[0].kid)
    for _ in range(5):
        with pytest.raises(UnknownKey):
            await source.find("nobody")
        clock.advance(COOLDOWN)
    assert fetches(idp) == 2
    clock.advance(UNKNOWN_FOR)
    with pytest.raises(UnknownKey):
        await source.find("nobody")
    assert fetches(idp) == 3


async def test_memory_of_unknown_key_ids_is_bounded(idp: FakeIssuer, clock: ManualClock):
    document = json.dumps(idp.jwks()).encode()

    async def answer(url: str, *, ca_file: Path | None) -> bytes:
        assert (url, ca_file) == ("https://keys.example", None)
        return document

    direct = KeySource(settings_for(idp, jwks_url="https://keys.example"), clock, fetch=answer)
    for number in range(MAX_UNKNOWN + 50):
        with pytest.raises(UnknownKey):
            await direct.find(f"random-{number}")
        clock.advance(COOLDOWN)
    assert len(direct._unknown) == MAX_UNKNOWN


@pytest.mark.failure("F-idp")
async def test_keys_stay_good_for_the_stale_time_and_no_longer(idp: FakeIssuer, source: KeySource, clock: ManualClock):
    kid = idp.keys[0].kid
    await source.find(kid)
    idp.stop()
    clock.advance(LIFESPAN + STALE_FOR - 1)
    assert (await source.find(kid)).kid == kid
    clock.advance(1)
    with pytest.raises(KeysUnavailable, match="cannot be reached"):
        await source.find(kid)
    idp.start()
    clock.advance(1)
    assert (await source.find(kid)).kid == kid


@pytest.mark.failure("F-clock")
async def test_wall_clock_that_jumps_does_not_age_keys(idp: FakeIssuer, source: KeySource, clock: ManualClock):
    await source.find(idp.keys[0].kid)
    clock.jump(10 * 365 * 86_400)
    await source.find(idp.keys[0].kid)
    assert fetches(idp) == 1


async def test_issuer_that_is_down_is_not_asked_by_every_request(
    idp: FakeIssuer, source: KeySource, clock: ManualClock
):
    idp.faults.set("error")
    for _ in range(20):
        with pytest.raises(KeysUnavailable, match="answered 500"):
            await source.find("any")
    assert len(idp.requests) == 1
    idp.faults.clear()
    clock.advance(1)
    assert await source.find(idp.keys[0].kid)


async def test_emptied_key_set_takes_effect(idp: FakeIssuer, source: KeySource):
    kid = idp.keys[0].kid
    await source.find(kid)
    idp.faults.set("empty", "/jwks")
    assert await source.refresh()
    with pytest.raises(UnknownKey):
        await source.find(kid)


FAULTS = [
    pytest.param("error", "*", "answered 500", id="500"),
    pytest.param("garbage", "/jwks", "invalid JSON", id="no JSON"),
    pytest.param("redirect", "/jwks", "answered 307", id="redirect"),
    pytest.param("huge", "/jwks", "more than 65536 bytes", id="too large"),
    pytest.param("gzip", "/jwks", "encoding that was not asked for", id="compressed"),
    pytest.param("foreign", "/.well-known/openid-configuration", "another issuer", id="foreign"),
    pytest.param("garbage", "/.well-known/openid-configuration", "invalid JSON", id="discovery is no JSON"),
    pytest.param("empty", "/.well-known/openid-configuration", "another issuer", id="discovery names no issuer"),
]


@pytest.mark.threat("T19")
@pytest.mark.parametrize(("fault", "path", "why"), FAULTS)
async def test_broken_answer_gives_no_keys(idp: FakeIssuer, source: KeySource, fault: Fault, path: str, why: str):
    idp.faults.set(fault, path)
    with pytest.raises(KeysUnavailable, match=why):
        await source.find(idp.keys[0].kid)
    assert "/elsewhere" not in idp.requests


@pytest.mark.threat("T19")
@pytest.mark.parametrize(("fault", "path", "why"), FAULTS)
async def test_broken_answer_does_not_replace_good_keys(
    idp: FakeIssuer, source: KeySource, fault: Fault, path: str, why: str
):
    kid = idp.keys[0].kid
    await source.find(kid)
    idp.faults.set(fault, path)
    assert not await source.refresh()
    assert why in source.last_error
    assert (await source.find(kid)).kid == kid


@pytest.mark.threat("T19")
async def test_issuer_that_hangs_is_given_up(idp: FakeIssuer, source: KeySource, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch_module, "TIMEOUT", 0.05)
    idp.faults.set("hang")
    with pytest.raises(KeysUnavailable, match="did not answer within"):
        await source.find("any")


@pytest.mark.threat("T19")
@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/jwks",
        "http://127.0.0.1.evil.example/jwks",
        "http://127.0.0.1@evil.example/jwks",
        "https://user@idp.example/jwks",
        "https://idp.example/jwks#fragment",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks",
        "https:///jwks",
        "https://idp.example:port/jwks",
        "https://idp.example/a b",
        "https://idp.example/\n",
        "",
    ],
)
async def test_url_that_is_not_https_is_not_asked(url: str):
    with pytest.raises(FetchError, match="is not https"):
        await fetch(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_plain_http_is_allowed_on_loopback(host: str):
    assert fetch_module.is_trustworthy(f"http://{host}:9000/jwks")


@pytest.mark.threat("T19")
async def test_discovery_may_not_lead_to_plain_http(idp: FakeIssuer, clock: ManualClock):
    async def answer(url: str, *, ca_file: Path | None) -> bytes:
        assert url.endswith("/.well-known/openid-configuration")
        assert ca_file is None
        return json.dumps({"issuer": idp.url, "jwks_uri": "http://idp.example/jwks"}).encode()

    source = KeySource(settings_for(idp), clock, fetch=answer)
    with pytest.raises(KeysUnavailable, match="`jwks_uri` is not https"):
        await source.find("any")
