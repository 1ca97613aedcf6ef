import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.fakes.issuer import FakeIssuer
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.domain.access import Principal
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.cluster_keys import ClusterFetch
from holdpoint.identity.fetch import FetchError
from holdpoint.identity.token_review import Reviewed
from holdpoint.identity.verify import Verifier
from holdpoint.settings import Claims, Issuer, TokenReview

ANY: frozenset[str] = frozenset()
SUBJECT = "system:serviceaccount:agents:bot"
BOUND: dict[str, Any] = {
    "namespace": "agents",
    "serviceaccount": {"name": "bot", "uid": "sa-uid"},
    "pod": {"name": "bot-7", "uid": "pod-uid"},
    "node": {"name": "node-1", "uid": "node-uid"},
}
REVIEW = TokenReview("https://cluster.test", every=30.0)


@pytest.fixture
def cluster(idp: FakeIssuer) -> Issuer:
    return settings_for(
        idp,
        algorithms=frozenset({"ES256"}),
        kind="kubernetes",
        types=frozenset({"jwt"}),
        claims=Claims(expose=("kubernetes.io",)),
        login_client_id="",
        workload_subjects=("system:serviceaccount:agents:*",),
        owners={"system:serviceaccount:agents:*": frozenset({"Alice@corp.example"})},
    )


@pytest_asyncio.fixture
async def verifier(cluster: Issuer, clock: ManualClock) -> AsyncIterator[Verifier]:
    verifier = Verifier([cluster], clock)
    yield verifier
    await verifier.close()


def projected(idp: FakeIssuer, **changes: Any) -> str:
    """A token as the API server makes them: without `typ`, and without what OIDC providers say of people."""
    without = dict.fromkeys(("client_id", "email", "name", "groups", "scope"))
    claims = {"sub": SUBJECT, "aud": [idp.audience], "kubernetes.io": BOUND, **without, **changes}
    return idp.mint(claims, header={"typ": None})


async def verified(verifier: Verifier, token: str) -> Principal:
    return await verifier.verify(token, audiences=ANY, issuers=ANY)


async def test_a_service_account_is_a_workload_with_the_groups_of_its_namespace(
    verifier: Verifier, idp: FakeIssuer
) -> None:
    found = await verified(verifier, projected(idp))
    assert (found.subject, found.kind, found.person) == (SUBJECT, "workload", None)
    assert found.groups == {"system:serviceaccounts", "system:serviceaccounts:agents"}
    assert found.name == "agents/bot, pod bot-7"
    assert found.owners == {"alice@corp.example"}
    assert found.claims == {"kubernetes.io": BOUND}


@pytest.mark.threat("T56")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sub": "u-alice"}, id="no service account"),
        pytest.param({"sub": "system:serviceaccount:agents"}, id="no name"),
        pytest.param({"sub": "system:serviceaccount:agents:bot:x"}, id="a part more"),
        pytest.param({"sub": "system:serviceaccount:Agents:bot"}, id="capitals"),
        pytest.param({"sub": "system:serviceaccount:other:bot"}, id="other namespace"),
        pytest.param({"kubernetes.io": None}, id="no private claim"),
        pytest.param({"kubernetes.io": "agents"}, id="private claim is text"),
        pytest.param({"kubernetes.io": {**BOUND, "namespace": "other"}}, id="namespaces differ"),
        pytest.param({"kubernetes.io": {**BOUND, "serviceaccount": {"name": "x", "uid": "u"}}}, id="names differ"),
        pytest.param({"kubernetes.io": {**BOUND, "serviceaccount": {"name": "bot"}}}, id="no uid"),
        pytest.param({"aud": ["https://kubernetes.default.svc"]}, id="audience of the cluster itself"),
        pytest.param({"exp": None}, id="legacy token without end"),
        pytest.param(
            {
                "sub": "system:serviceaccount:shop:bot",
                "kubernetes.io": {**BOUND, "namespace": "shop"},
            },
            id="account that is not taken",
        ),
    ],
)
async def test_what_is_not_clearly_a_service_account_is_refused(
    verifier: Verifier, idp: FakeIssuer, changes: dict[str, Any]
) -> None:
    with pytest.raises(Refusal) as caught:
        await verified(verifier, projected(idp, **changes))
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED


async def test_a_cluster_names_no_people_whatever_its_tokens_say(verifier: Verifier, idp: FakeIssuer) -> None:
    found = await verified(verifier, projected(idp, email="rita@corp.example", groups=["sre"], act={"sub": "x"}))
    assert (found.person, found.actor) == (None, None)
    assert "sre" not in found.groups


async def test_a_cluster_vouches_for_no_reviewer(cluster: Issuer, clock: ManualClock, idp: FakeIssuer) -> None:
    verifier = Verifier([replace(cluster, login_client_id="holdpoint-cli")], clock)
    with pytest.raises(Refusal):
        await verifier.verify_reviewer(
            idp.mint_id_token(), client_ids=frozenset({"holdpoint-console"}), issuers=frozenset({"idp"}), max_age=100
        )
    await verifier.close()


async def test_keys_may_stand_in_a_file(cluster: Issuer, clock: ManualClock, idp: FakeIssuer, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(idp.jwks()))
    verifier = Verifier([replace(cluster, jwks_file=file)], clock)
    assert (await verified(verifier, projected(idp))).subject == SUBJECT
    assert idp.requests == []
    file.unlink()
    other = Verifier([replace(cluster, jwks_file=file)], clock)
    with pytest.raises(Refusal) as caught:
        await verified(other, projected(idp))
    assert caught.value.kind is RefusalKind.UNAVAILABLE
    await verifier.close()
    await other.close()


@pytest.mark.threat("T56")
async def test_the_token_for_the_keys_goes_to_the_issuers_own_origin_alone(
    cluster: Issuer, idp: FakeIssuer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    fetching = ClusterFetch(replace(cluster, token_file=file))
    # The file is not there: whoever would send it fails, whoever would not does not look.
    with pytest.raises(FetchError, match="cannot be read"):
        await fetching(f"{idp.url}/jwks", ca_file=None)
    with pytest.raises(FetchError, match="cannot be reached"):
        await fetching("http://127.0.0.1:9/jwks", ca_file=None)


class Server:
    """What answers token reviews in place of an API server, and counts."""

    def __init__(self, audience: str) -> None:
        self.answer = Reviewed(
            authenticated=True, username=SUBJECT, uid="sa-uid", audiences=frozenset({audience}), pod="pod-uid"
        )
        self.asked = 0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, settings: TokenReview, token: str, audiences: frozenset[str]) -> Reviewed:
        assert settings is REVIEW
        assert token
        assert audiences
        self.asked += 1
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return self.answer


@pytest.fixture
def server(idp: FakeIssuer) -> Server:
    return Server(idp.audience)


@pytest_asyncio.fixture
async def reviewing(cluster: Issuer, clock: ManualClock, server: Server) -> AsyncIterator[Verifier]:
    verifier = Verifier([replace(cluster, token_review=REVIEW)], clock, review=server)
    yield verifier
    server.gate.set()
    await verifier.close()


@pytest.mark.threat("T56")
async def test_the_token_of_a_deleted_pod_is_refused_once_the_answer_is_old(
    reviewing: Verifier, idp: FakeIssuer, server: Server, clock: ManualClock
) -> None:
    token = projected(idp)
    await verified(reviewing, token)
    server.answer = Reviewed(authenticated=False)
    clock.advance(REVIEW.every - 1)
    await verified(reviewing, token)
    assert server.asked == 1
    clock.advance(1)
    assert reviewing.cached(token, audiences=ANY, issuers=ANY) is None
    with pytest.raises(Refusal) as caught:
        await verified(reviewing, token)
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED
    assert server.asked == 2


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"username": "system:serviceaccount:agents:other"}, id="another account"),
        pytest.param({"uid": "other-uid"}, id="account made anew"),
        pytest.param({"uid": ""}, id="no uid"),
        pytest.param({"audiences": frozenset()}, id="server that knows no audiences"),
        pytest.param({"audiences": frozenset({"https://kubernetes.default.svc"})}, id="other audience"),
        pytest.param({"pod": "another-pod"}, id="another pod"),
        pytest.param({"authenticated": False}, id="not authenticated"),
    ],
)
async def test_an_answer_that_is_not_about_the_very_token_refuses_it(
    reviewing: Verifier, idp: FakeIssuer, server: Server, changes: dict[str, Any]
) -> None:
    server.answer = replace(server.answer, **changes)
    with pytest.raises(Refusal) as caught:
        await verified(reviewing, projected(idp))
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED


@pytest.mark.threat("T56")
@pytest.mark.failure("F-token-review")
async def test_nobody_passes_while_the_api_server_cannot_be_asked_and_it_is_asked_again(
    reviewing: Verifier, idp: FakeIssuer, server: Server
) -> None:
    server.error = OSError("down")
    token = projected(idp)
    with pytest.raises(Refusal) as caught:
        await verified(reviewing, token)
    assert caught.value.kind is RefusalKind.UNAVAILABLE
    server.error = None
    assert (await verified(reviewing, token)).subject == SUBJECT


async def test_many_requests_with_one_token_ask_once(reviewing: Verifier, idp: FakeIssuer, server: Server) -> None:
    server.gate.clear()
    token = projected(idp)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(verified(reviewing, token)) for _ in range(5)]
        await asyncio.to_thread(_until, lambda: server.asked > 0)
        server.gate.set()
    assert {task.result().subject for task in waiting} == {SUBJECT}
    assert server.asked == 1


def _until(test: Any) -> None:
    while not test():
        threading.Event().wait(0.005)
