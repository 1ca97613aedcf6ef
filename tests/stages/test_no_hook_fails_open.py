"""Every hook of every stage, failing in every way there is: nothing reaches the upstream, and the gateway serves on."""

import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest
from tests.fakes.processes import NO_AUTHORITIES
from tests.fakes.saboteur import FAILURES, STYLES, SabotagedGateway
from tests.fakes.world import UPSTREAM_TOKEN, World, call

from holdpoint.stages.guard import Stage, guarded_hooks, is_guarded

STAGES = ("lockdown", "identity", "decode", "policy", "approval", "credentials", "mask", "record")
BEFORE_SENDING = (
    "client_connected",
    "next_layer",
    "requestheaders",
    "request",
    "server_connect",
)
ONLY_THROUGH_CONNECT = (
    "http_connect",
    "http_connected",
    "tls_clienthello",
    "tls_start_client",
    "tls_established_client",
)
AFTER_SENDING = ("responseheaders", "response")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), json_response=True, stateless=True) as world:
        yield world


@pytest.fixture(scope="module")
def gateway(world: World) -> Iterator[SabotagedGateway]:
    patch = pytest.MonkeyPatch()
    patch.setenv("NOTES_TOKEN", UPSTREAM_TOKEN)
    try:
        with SabotagedGateway(world.settings_file) as gateway:
            yield gateway
    finally:
        patch.undo()


def ask(world: World) -> httpx.Response:
    """One call on a connection of its own."""
    with httpx.Client(verify=NO_AUTHORITIES, trust_env=False, timeout=20) as client:
        return client.post(world.url, headers=world.headers(), json=call("read_secret", {"name": "matrix"}))


def reached(world: World) -> int:
    return len(world.notes.seen.requests)


def test_the_pipeline_serves_when_nothing_fails(world: World, gateway: SabotagedGateway) -> None:
    gateway.plan.disarm()
    gateway.plan.seen.clear()
    before = reached(world)
    answer = ask(world)
    assert answer.status_code == 200, answer.text
    assert "[masked]" in answer.text
    assert reached(world) == before + 1
    # The matrix below covers what really runs: each stage saw each of these hooks.
    for hook in (*BEFORE_SENDING, *AFTER_SENDING):
        assert {stage for stage, name in gateway.plan.seen if name == hook} == set(STAGES), hook


@pytest.mark.failure("F-stage")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("hook", BEFORE_SENDING)
@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_before_sending_reaches_no_upstream(
    world: World, gateway: SabotagedGateway, stage: str, hook: str, style: str
) -> None:
    for failure in FAILURES:
        before = reached(world)
        gateway.plan.arm(stage, hook, failure, style)
        try:
            answer = ask(world)
        except httpx.TransportError:
            answer = None  # the connection itself was refused
        assert gateway.plan.hit > 0, f"{failure}: the hook did not run"
        assert reached(world) == before, f"{failure}: the upstream was asked"
        assert answer is None or answer.status_code >= 500 or "error" in answer.json(), f"{failure}: {answer}"
        assert answer is None or "billing" not in answer.text, failure
    gateway.plan.disarm()
    assert ask(world).status_code == 200


@pytest.mark.failure("F-stage")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("hook", AFTER_SENDING)
@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_after_sending_shows_nothing_of_the_answer(
    world: World, gateway: SabotagedGateway, stage: str, hook: str, style: str
) -> None:
    for failure in FAILURES:
        gateway.plan.arm(stage, hook, failure, style)
        try:
            answer = ask(world)
        except httpx.TransportError:
            answer = None
        assert gateway.plan.hit > 0, f"{failure}: the hook did not run"
        assert answer is None or "billing" not in answer.text, f"{failure}: {answer.text}"
        assert answer is None or answer.status_code >= 500 or "error" in answer.json(), f"{failure}: {answer.text}"
    gateway.plan.disarm()
    assert ask(world).status_code == 200


def test_later_stages_do_not_see_what_was_refused(world: World, gateway: SabotagedGateway) -> None:
    gateway.plan.arm("identity", "requestheaders", "exception", "sync")
    gateway.plan.seen.clear()
    assert ask(world).status_code >= 500
    gateway.plan.disarm()
    asked = {stage for stage, hook in gateway.plan.seen if hook == "request"}
    assert asked == {"record"}  # which writes down what was refused


METADATA = "/.well-known/oauth-protected-resource/mcp/demo"


def test_later_stages_do_not_see_what_the_gateway_answers_itself(world: World, gateway: SabotagedGateway) -> None:
    gateway.plan.disarm()
    gateway.plan.seen.clear()
    before = reached(world)
    assert httpx.get(world.base + METADATA, verify=NO_AUTHORITIES, trust_env=False).json()["resource"] == world.url
    for hook in ("requestheaders", "request", "responseheaders", "response"):
        assert {stage for stage, name in gateway.plan.seen if name == hook} <= {"lockdown", "record"}, hook
    assert reached(world) == before


@pytest.mark.failure("F-stage")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("hook", ["requestheaders", "request", "response"])
@pytest.mark.parametrize("stage", ["lockdown", "record"])
def test_a_failure_in_an_answer_of_its_own_reaches_no_upstream(
    world: World, gateway: SabotagedGateway, stage: str, hook: str, style: str
) -> None:
    for failure in FAILURES:
        before = reached(world)
        gateway.plan.arm(stage, hook, failure, style)
        answer = httpx.get(world.base + METADATA, verify=NO_AUTHORITIES, trust_env=False, timeout=20)
        assert reached(world) == before, failure
        assert answer.status_code >= 500 or answer.json()["resource"] == world.url, failure
    gateway.plan.disarm()
    assert httpx.get(world.base + METADATA, verify=NO_AUTHORITIES, trust_env=False).status_code == 200


def connect_through(world: World) -> bytes:
    """Open a tunnel to the upstream through the forward listener, and say something; return what came back."""
    with socket.create_connection(("127.0.0.1", world.forward), timeout=10) as raw:
        raw.sendall(f"CONNECT 127.0.0.1:{world.notes.port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = raw.recv(4096)
        if b" 200 " not in head:
            return head
        context = ssl.create_default_context(cafile=str(world.var / "ca" / "mitmproxy-ca-cert.pem"))
        context.check_hostname = False
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as tunnel:
            tunnel.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
            return tunnel.recv(4096)


@pytest.mark.failure("F-stage")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("hook", ONLY_THROUGH_CONNECT)
@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_in_a_tunnel_reaches_no_upstream(
    world: World, gateway: SabotagedGateway, stage: str, hook: str, style: str
) -> None:
    for failure in FAILURES:
        before = reached(world)
        gateway.plan.arm(stage, hook, failure, style)
        try:
            answer = connect_through(world)
        except OSError:
            answer = b""
        assert gateway.plan.hit > 0, f"{failure}: the hook did not run"
        assert b" 200 OK" not in answer, f"{failure}: {answer!r}"
        assert reached(world) == before, failure
    gateway.plan.disarm()


@pytest.mark.failure("F-stage")
@pytest.mark.usefixtures("gateway")
def test_every_hook_of_every_stage_is_guarded() -> None:
    import gateway as script

    assert [s.name for s in script.addons] == ["lifecycle", *STAGES]
    for stage in script.addons:
        assert isinstance(stage, Stage)
        for hook in guarded_hooks():
            if (found := getattr(type(stage), hook, None)) is not None:
                assert is_guarded(found), f"{stage.name}.{hook}"


@pytest.mark.failure("F-stage")
def test_a_stage_cannot_forget_the_guard() -> None:
    class Forgetful(Stage):
        name = "forgetful"

        def request(self, flow: object) -> None:
            """Do nothing."""

    assert is_guarded(Forgetful.request)
