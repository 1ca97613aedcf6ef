"""What a gateway remembers of requests that ended: nothing, whatever way they ended."""

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.fakes.raw_upstream import RawUpstream
from tests.fakes.saboteur import SabotagedGateway
from tests.fakes.world import UPSTREAM_TOKEN, World, call

from holdpoint.recording.sessions import MOST

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"), hold_wait="1s")
    world.write_settings(**{world.notes.url: upstream.url})
    with world:
        yield world


@pytest.fixture(scope="module")
def gateway(world: World) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTES_TOKEN", UPSTREAM_TOKEN)
        with SabotagedGateway(world.settings_file) as running:
            yield running.gateway


def sizes(gateway: Any) -> dict[str, int]:
    """How much each map of the gateway holds."""
    services = gateway.services
    return {
        "exchanges": len(gateway.exchanges),
        "passes": len(gateway.wire._passes),
        "answers": len(gateway.wire._answers),
        "leaving": len(services._leaving),
        "poisoned": len(gateway._poisoned),
    }


def leave(world: World, message: dict[str, Any]) -> None:
    """Ask, and hang up without waiting for the answer."""
    with world.client() as http, pytest.raises(httpx.ReadTimeout):
        http.post(world.url, headers=world.headers(), json=message, timeout=0.3)


def test_nothing_is_kept_of_requests_that_ended(world: World, upstream: RawUpstream, gateway: Any) -> None:
    go_on = threading.Event()
    with world.client() as http, ThreadPoolExecutor(8) as pool:
        for message in (call("read_note"), call("drop_x"), call("write_note", {"name": "a"})):
            http.post(world.url, headers=world.headers(), json=message)
        http.post(world.url, headers=world.headers("nonsense"), json=call("read_note"))
        http.post(world.url, headers=world.headers(), content=b"{")
        http.get(world.base + "/nowhere")
        upstream.behave = lambda connection, _request: connection.close()
        http.post(world.url, headers=world.headers(), json=call("read_note"))
        upstream.behave = lambda _connection, _request: go_on.wait(20) and None
        list(pool.map(lambda _n: leave(world, call("read_note")), range(8)))
        list(pool.map(lambda n: leave(world, call("write_note", {"name": f"n{n}"})), range(8)))
        go_on.set()
        upstream.forget()
        answer = http.post(world.url, headers=world.headers(), json=call("read_note"))
        assert answer.status_code == 200
    # The last of them may still be on its way out.
    for _ in range(100):
        gc.collect()
        if not any(sizes(gateway).values()):
            break
        threading.Event().wait(0.05)
    assert sizes(gateway) == dict.fromkeys(sizes(gateway), 0)


def test_made_up_session_ids_do_not_fill_the_memory(gateway: Any) -> None:
    sessions = gateway.services.sessions
    for n in range(MOST + 500):
        sessions.session_for("p", "demo", f"made-up-{n}" * 50, 0.0)
    assert len(sessions) <= MOST
