from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.fakes.issuer import FakeIssuer
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.domain.refusal import ConfigError, Refusal, RefusalKind
from holdpoint.identity import verify as verify_module
from holdpoint.identity.jwks import LIFESPAN
from holdpoint.identity.verify import CACHE_FOR, Verifier
from holdpoint.settings import Issuer

ANY: frozenset[str] = frozenset()


@pytest.fixture
def settings(idp: FakeIssuer) -> Issuer:
    return settings_for(idp, algorithms=frozenset({"ES256", "RS256"}), stale_for=900.0)


@pytest_asyncio.fixture
async def verifier(settings: Issuer, clock: ManualClock) -> AsyncIterator[Verifier]:
    verifier = Verifier([settings], clock)
    yield verifier
    await verifier.close()


async def verified(verifier: Verifier, token: str) -> str:
    """Verify without the cache's help; return the id."""
    return (await verifier.verify(token, audiences=ANY, issuers=ANY)).id


async def test_token_is_cached_only_after_it_was_verified(verifier: Verifier, idp: FakeIssuer):
    token = idp.mint()
    assert verifier.cached(token, audiences=ANY, issuers=ANY) is None
    principal = await verifier.verify(token, audiences=ANY, issuers=ANY)
    assert verifier.cached(token, audiences=ANY, issuers=ANY) is principal


async def test_refused_token_is_not_cached(verifier: Verifier, idp: FakeIssuer):
    token = idp.mint({"sub": ""})
    with pytest.raises(Refusal):
        await verifier.verify(token, audiences=ANY, issuers=ANY)
    assert verifier.cached(token, audiences=ANY, issuers=ANY) is None


async def test_cached_verification_ends_after_a_minute(verifier: Verifier, idp: FakeIssuer, clock: ManualClock):
    token = idp.mint()
    await verified(verifier, token)
    clock.advance(CACHE_FOR - 1)
    assert verifier.cached(token, audiences=ANY, issuers=ANY)
    clock.advance(1)
    assert verifier.cached(token, audiences=ANY, issuers=ANY) is None


async def test_cached_verification_ends_with_the_token(verifier: Verifier, idp: FakeIssuer, clock: ManualClock):
    token = idp.mint({"exp": int(clock.now()) + 10})
    await verified(verifier, token)
    clock.advance(9)
    assert verifier.cached(token, audiences=ANY, issuers=ANY)
    clock.advance(1)
    assert verifier.cached(token, audiences=ANY, issuers=ANY) is None


async def test_use_does_not_prolong_a_cached_verification(verifier: Verifier, idp: FakeIssuer, clock: ManualClock):
    token = idp.mint()
    await verified(verifier, token)
    for _ in range(3):
        clock.advance(CACHE_FOR / 4)
        assert verifier.cached(token, audiences=ANY, issuers=ANY)
    clock.advance(CACHE_FOR / 4)
    assert verifier.cached(token, audiences=ANY, issuers=ANY) is None


@pytest.mark.parametrize(
    ("audiences", "issuers"),
    [
        pytest.param(frozenset({"https://other.example"}), ANY, id="another audience"),
        pytest.param(ANY, frozenset({"another"}), id="another issuer"),
    ],
)
async def test_cached_verification_does_not_serve_another_target(
    verifier: Verifier, idp: FakeIssuer, audiences: frozenset[str], issuers: frozenset[str]
):
    token = idp.mint()
    await verified(verifier, token)
    assert verifier.cached(token, audiences=audiences, issuers=issuers) is None
    with pytest.raises(Refusal):
        await verifier.verify(token, audiences=audiences, issuers=issuers)
    assert verifier.cached(token, audiences=ANY, issuers=ANY)


async def test_own_audience_counts_beside_the_configured_ones(verifier: Verifier, idp: FakeIssuer):
    own, other = frozenset({"https://gw/mcp/a"}), frozenset({"https://gw/mcp/b"})
    token = idp.mint({"aud": "https://gw/mcp/a"})
    for configured in (ANY, frozenset({"https://other.example"})):
        principal = await verifier.verify(token, audiences=configured, issuers=ANY, own=own)
        assert verifier.cached(token, audiences=configured, issuers=ANY, own=own) is principal
        assert verifier.cached(token, audiences=configured, issuers=ANY, own=other) is None
        assert verifier.cached(token, audiences=configured, issuers=ANY) is None
        with pytest.raises(Refusal):
            await verifier.verify(token, audiences=configured, issuers=ANY, own=other)
    with pytest.raises(Refusal):
        await verifier.verify(token, audiences=ANY, issuers=frozenset({"another"}), own=own)
    assert await verified(verifier, idp.mint())


async def test_key_that_leaves_the_key_set_ends_cached_verifications(verifier: Verifier, idp: FakeIssuer):
    old = idp.mint()
    await verified(verifier, old)
    idp.rotate("ES256")
    await verified(verifier, idp.mint())  # its unknown key id causes the fetch
    assert verifier.cached(old, audiences=ANY, issuers=ANY) is None
    with pytest.raises(Refusal) as caught:
        await verified(verifier, old)
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED
    assert "has no key" in caught.value.detail


async def test_cached_verification_ends_with_the_keys(verifier: Verifier, idp: FakeIssuer, clock: ManualClock):
    await verified(verifier, idp.mint())
    clock.advance(LIFESPAN + 900 - 1)
    token = idp.mint()
    await verified(verifier, token)
    idp.stop()
    clock.advance(1)
    assert verifier.cached(token, audiences=ANY, issuers=ANY) is None
    with pytest.raises(Refusal) as caught:
        await verified(verifier, token)
    assert caught.value.kind is RefusalKind.UNAVAILABLE


async def test_cache_is_bounded_and_forgets_the_least_used(
    verifier: Verifier, idp: FakeIssuer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(verify_module, "CACHE_SIZE", 3)
    tokens = [idp.mint() for _ in range(4)]
    for token in tokens[:3]:
        await verified(verifier, token)
    verifier.cached(tokens[0], audiences=ANY, issuers=ANY)
    await verified(verifier, tokens[3])
    known = [verifier.cached(t, audiences=ANY, issuers=ANY) is not None for t in tokens]
    assert known == [True, False, True, True]


@pytest.mark.failure("F-idp")
async def test_issuer_that_is_down_with_no_keys_is_unavailable(verifier: Verifier, idp: FakeIssuer):
    idp.stop()
    with pytest.raises(Refusal) as caught:
        await verified(verifier, idp.mint())
    refusal = caught.value
    assert refusal.kind is RefusalKind.UNAVAILABLE
    assert refusal.retry_after
    assert "cannot be reached" in refusal.detail
    assert "cannot be reached" in verifier.unavailable()["idp"]


async def test_issuer_with_keys_is_not_listed_as_unavailable(verifier: Verifier, idp: FakeIssuer):
    assert verifier.unavailable() == {"idp": "its keys were not fetched yet"}
    await verified(verifier, idp.mint())
    assert verifier.unavailable() == {}


async def test_start_fetches_in_the_background(verifier: Verifier, idp: FakeIssuer):
    await verifier.start()
    await idp.until_asked("/jwks")
    await verified(verifier, idp.mint())
    assert idp.requests.count("/jwks") == 1


async def test_tokens_of_several_issuers_are_told_apart(settings: Issuer, idp: FakeIssuer, clock: ManualClock):
    with FakeIssuer(clock=clock) as other:
        verifier = Verifier([settings, settings_for(other, name="other")], clock)
        assert await verified(verifier, idp.mint()) == f"{idp.url}#u-alice"
        assert await verified(verifier, other.mint()) == f"{other.url}#u-alice"
        await verifier.close()


async def test_no_issuers_accept_nothing(idp: FakeIssuer, clock: ManualClock):
    with pytest.raises(Refusal) as caught:
        await verified(Verifier([], clock), idp.mint())
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"url": "http://idp.example"}, "neither https nor http on loopback", id="plain http"),
        pytest.param({"url": ""}, "no url", id="no url"),
        pytest.param({"jwks_url": "http://idp.example/jwks"}, "neither https nor http on loopback", id="plain jwks"),
        pytest.param({"algorithms": ANY}, "algorithms must be some of", id="no algorithms"),
        pytest.param({"algorithms": frozenset({"RS256", "HS256"})}, "algorithms must be some of", id="symmetric"),
        pytest.param({"algorithms": frozenset({"none"})}, "algorithms must be some of", id="none"),
        pytest.param({"types": ANY}, "no `typ` is allowed", id="no types"),
    ],
)
def test_unsafe_settings_refuse_start(
    idp: FakeIssuer, clock: ManualClock, changes: dict[str, str | frozenset[str]], why: str
):
    with pytest.raises(ConfigError, match=why):
        Verifier([settings_for(idp, **changes)], clock)


def test_two_issuers_of_one_url_refuse_start(settings: Issuer, idp: FakeIssuer, clock: ManualClock):
    with pytest.raises(ConfigError, match="two issuers have the url"):
        Verifier([settings, settings_for(idp, name="again")], clock)
