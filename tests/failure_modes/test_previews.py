"""Previews that fail: shown as that, in words, and never in the way of anybody."""

import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fakes.kube_identity import GATEWAY_TOKEN
from tests.fakes.kube_server import KubeServer
from tests.fakes.kube_server_http import Request, Response
from tests.fakes.preview_world import PREVIEWER, WEB, PreviewWorld, lines
from tests.fakes.processes import Program
from tests.fakes.wire import certificate

from holdpoint.domain.access import AccessRequest, KubeObject, Principal
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.previews.client import MAX_BYTES, Client, Upstream, said_by
from holdpoint.previews.errors import Rejected, Trouble
from holdpoint.previews.hanging import hanging
from holdpoint.previews.kubernetes import look
from holdpoint.previews.requests import Asking
from holdpoint.previews.subject import Subject
from holdpoint.protocols.kubernetes.decode import decode

PATH = "/apis/apps/v1/namespaces/shop/deployments/web"
DELETE = decode(method="DELETE", path=PATH, headers=[], body=b"")
ACCESS = AccessRequest(Principal("https://i", "u", "human"), "c", DELETE.action, DELETE.resource)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubeServer]:
    with KubeServer(tmp_path) as server:
        server.put(WEB, "shop")
        yield server


@asynccontextmanager
async def client(
    server: KubeServer, *, token: str = GATEWAY_TOKEN, patience: float = 8.0, ca_file: Path | None = None
) -> AsyncIterator[Client]:
    async def credential() -> tuple[tuple[bytes, bytes], ...]:
        return ((b"authorization", b"Bearer " + token.encode()),)

    async def before(_asking: Asking) -> None:
        return

    upstream = Upstream("https", "127.0.0.1", server.port, ca_file=ca_file or server.authority)
    opened = Client(upstream, credential=credential, before=before, hide=lambda body: body, patience=patience)
    async with opened as opened:
        yield opened


def answer(status: int, body: bytes, **headers: str) -> Callable[[Request], Response]:
    return lambda _request: Response(status, body, [("content-type", "application/json"), *headers.items()])


BROKEN = [
    ("500", answer(500, b'{"kind":"Status","reason":"InternalError"}'), "answered 500 InternalError"),
    ("503 without a body", answer(503, b""), "answered 503"),
    ("403", answer(403, b'{"kind":"Status","reason":"Forbidden"}'), "answered 403 Forbidden"),
    ("429", answer(429, b'{"kind":"Status","reason":"TooManyRequests"}'), "answered 429 TooManyRequests"),
    ("a redirect", answer(302, b"", location="https://127.0.0.1:1/"), "answered 302"),
    ("a page", answer(200, b"<html>hunter2</html>"), "what is no object"),
    ("a list", answer(200, b"[]"), "what is no object"),
    ("the same key twice", answer(200, b'{"kind":"A","kind":"B"}'), "what is no object"),
    ("an encoding", answer(200, b"x", **{"content-encoding": "gzip"}), "an encoding that was not asked for"),
    ("too much", answer(200, b'"' + b"x" * MAX_BYTES + b'"'), "more than 4 MiB"),
    ("a reason that is none", answer(500, b'{"kind":"Status","reason":"hunter2 x"}'), "answered 500"),
]


@pytest.mark.failure("F-preview-broken")
@pytest.mark.parametrize(("broken", "said"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
async def test_broken_answer_is_named_and_not_quoted(
    server: KubeServer, broken: Callable[[Request], Response], said: str
):
    server.faults.answers[PATH] = broken
    async with client(server) as opened:
        with pytest.raises(Trouble, match=said) as raised:
            await look(ACCESS, {}, opened.send)
    assert "hunter" not in str(raised.value)
    assert len(server.requests) == 1


@pytest.mark.threat("T70")
@pytest.mark.failure("F-preview-broken")
async def test_api_server_of_another_authority_is_sent_nothing(server: KubeServer, tmp_path: Path):
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other" / "x")
    async with client(server, ca_file=other) as opened:
        with pytest.raises(Trouble, match="its certificate is not accepted"):
            await look(ACCESS, {}, opened.send)
    assert server.requests == []


@pytest.mark.failure("F-preview-broken")
async def test_api_server_that_is_gone_is_named(server: KubeServer):
    server.stop()
    async with client(server) as opened:
        with pytest.raises(Trouble, match="cannot be reached: ConnectError"):
            await look(ACCESS, {}, opened.send)


@pytest.mark.failure("F-preview-slow")
async def test_api_server_that_takes_too_long_is_given_up(server: KubeServer):
    server.faults.delay = 30.0
    async with client(server, patience=0.1) as opened:
        with pytest.raises(Trouble, match=r"did not answer within 0\.1 s"):
            await look(ACCESS, {}, opened.send)


@pytest.mark.failure("F-preview-refused")
async def test_what_the_api_server_refuses_is_told_apart_from_what_nobody_knows(server: KubeServer):
    server.faults.answers[PATH] = answer(404, b'{"kind":"Status","reason":"NotFound","message":"not there"}')
    async with client(server) as opened:
        with pytest.raises(Rejected, match="404 NotFound") as raised:
            await look(ACCESS, {}, opened.send)
    assert said_by(raised.value)["message"] == "not there"


@pytest.mark.failure("F-preview-audit")
async def test_what_cannot_be_written_down_is_not_sent(server: KubeServer):
    async def credential() -> tuple[tuple[bytes, bytes], ...]:
        return ()

    async def before(_asking: Asking) -> None:
        raise Refusal(RefusalKind.UNAVAILABLE, "the gateway cannot write records")

    upstream = Upstream("https", "127.0.0.1", server.port, ca_file=server.authority)
    async with Client(upstream, credential=credential, before=before, hide=lambda body: body) as opened:
        with pytest.raises(Trouble, match="cannot write records"):
            await look(ACCESS, {}, opened.send)
    assert server.requests == []


@pytest.mark.failure("F-preview-partly")
async def test_what_cannot_be_read_of_what_hangs_on_it_has_a_line_that_says_so(server: KubeServer):
    refused = answer(403, b'{"kind":"Status","reason":"Forbidden"}')
    server.faults.answers["/api/v1/namespaces/shop/services"] = refused
    async with client(server) as opened:
        live: JsonObject = (await opened.send(Asking("GET", PATH))).document
        assert isinstance(ACCESS.resource, KubeObject)
        found = await hanging(Subject(ACCESS.resource, "delete", live, {}), opened.send)
    text = json.dumps(found)
    assert "Services could not be read, so nothing of them is known here: the API server answered 403" in text
    assert "2 Pods: web-" in text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreviewWorld]:
    with PreviewWorld(tmp_path_factory.mktemp("world")) as world:
        world.start()
        yield world


@pytest.mark.e2e
@pytest.mark.failure("F-preview-drift")
def test_request_is_not_sent_where_nobody_can_tell_whether_its_object_changed(world: PreviewWorld):
    patch = ("patch", "deployment", "web", "-p", json.dumps({"spec": {"replicas": 5}}))
    kubectl = world.run(*patch)
    held = world.previewed()
    broken = answer(500, b'{"kind":"Status","reason":"InternalError"}')
    world.cluster.faults.answers[PATH] = lambda r: broken(r) if "preview" in r.header("user-agent") else None
    world.decide(held)
    assert kubectl.wait() == 1
    assert "(ServiceUnavailable): holdpoint: the gateway cannot tell whether" in kubectl.output
    assert world.writes("gateway") == []
    # The approval stays: nothing was found to have changed.
    world.cluster.faults.answers.clear()
    assert world.run(*patch).wait() == 0
    assert world.live("apps", "deployments", "web")["spec"]["replicas"] == 5


def patched(world: PreviewWorld, name: str) -> Program:
    """Start a kubectl that is held for a change of a config map."""
    world.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}}, "shop")
    return world.run("patch", "configmap", name, "--type=merge", "-p", '{"data":{"a":"b"}}')


@pytest.mark.e2e
@pytest.mark.failure("F-preview-slow")
def test_preview_that_takes_too_long_is_shown_as_that_and_keeps_nobody_waiting(world: PreviewWorld):
    world.cluster.faults.slow[PREVIEWER] = 30.0
    try:
        first = patched(world, "slow-1")
        world.decide(world.previewed("pending"), "deny")
        assert first.wait() == 1
        second = patched(world, "slow-2")
        held = world.previewed("failed")
        assert held["dry_run"]["why"] == "the API server did not answer within 8 s"
        world.decide(held, "deny")
        assert second.wait() == 1
    finally:
        world.cluster.faults.slow.clear()


@pytest.mark.e2e
@pytest.mark.failure("F-preview-kill")
def test_preview_that_a_kill_cut_off_is_made_by_the_next_process(world: PreviewWorld):
    world.cluster.faults.slow[PREVIEWER] = 30.0
    kubectl = patched(world, "cut-off")
    world.previewed("pending")
    assert world.gateway is not None
    world.gateway.stop(signal.SIGKILL)
    assert kubectl.wait() == 1
    world.cluster.faults.slow.clear()
    world.start()
    held = world.previewed()
    assert lines(held) == ['data.a: null -> "b"']
    world.decide(held, "deny")
