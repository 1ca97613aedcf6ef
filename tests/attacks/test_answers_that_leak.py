"""Answers that carry what the caller may not have: the gateway's own credential, cookies, redirects, pieces."""

import base64
import json
import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from tests.fakes.attacked import SHOP_KEY, Attacked, as_json, attacked
from tests.fakes.raw_upstream import Arrived, Behaviour, result, stream, whole
from tests.fakes.world import UPSTREAM_TOKEN, call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T07")]

TWICE = json.dumps({"v": SHOP_KEY}).replace("/", r"\/")
READ = call("read_note", {"name": "x"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("leaks"), "--set", "termlog_verbosity=debug") as world:
        yield world
        # Last of all: nothing of it was written down either, at the most talkative log level.
        written = world.written()
        for secret in (UPSTREAM_TOKEN, SHOP_KEY):
            assert secret.encode() not in written


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> None:
    world.mcp.forget()
    world.shop.forget()


def says(answer: bytes) -> Behaviour:
    return lambda connection, _request: connection.sendall(answer)


def echo(connection: socket.socket, request: Arrived) -> None:
    """A tool that shows the headers it got."""
    connection.sendall(whole(result(request, request.head.decode("latin-1"))))


ECHOES = [
    pytest.param(UPSTREAM_TOKEN, id="as-it-is"),
    pytest.param(f"Authorization: Bearer {UPSTREAM_TOKEN}", id="with-its-scheme"),
    pytest.param(json.dumps({"headers": {"a": [UPSTREAM_TOKEN]}}), id="json-in-text"),
    pytest.param(base64.b64encode(f"Bearer {UPSTREAM_TOKEN}".encode()).decode(), id="base64"),
    pytest.param(base64.urlsafe_b64encode(f"xy{UPSTREAM_TOKEN}".encode()).decode(), id="base64-shifted"),
]


def test_tool_that_shows_its_headers_does_not_show_the_gateways_credential(world: Attacked) -> None:
    world.mcp.behave = echo
    answer = world.post(READ)
    assert "content-type" in answer.text.lower()
    assert UPSTREAM_TOKEN not in answer.text


@pytest.mark.parametrize("text", ECHOES)
def test_credential_in_a_stream_is_masked(world: Attacked, text: str) -> None:
    def behave(connection: socket.socket, request: Arrived) -> None:
        connection.sendall(
            stream(b": " + UPSTREAM_TOKEN.encode() + b"\ndata: " + result(request, f"so: {text}") + b"\n\n")
        )

    world.mcp.behave = behave
    answer = world.post(READ)
    assert "so: " in answer.text
    assert text not in answer.text
    assert UPSTREAM_TOKEN not in answer.text


@pytest.mark.parametrize("target", ["bare", "shop"])
@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
@pytest.mark.parametrize(
    ("said", "content_type"),
    [
        pytest.param(SHOP_KEY.encode(), "text/plain", id="text"),
        pytest.param(as_json({"k": SHOP_KEY}), "application/json", id="json"),
        pytest.param(as_json({"k": SHOP_KEY}).replace(b"/", rb"\/"), "application/json", id="json-escaped"),
        pytest.param(
            as_json({"k": json.dumps({"v": SHOP_KEY}).replace("/", r"\/")}), "application/json", id="json-twice"
        ),
        pytest.param(b"k=" + quote(SHOP_KEY, safe="").encode(), "application/x-www-form-urlencoded", id="form"),
        pytest.param(base64.b64encode(SHOP_KEY.encode()), "text/plain", id="base64"),
    ],
)
def test_plain_service_that_shows_its_key_does_not_show_it_to_the_caller(
    world: Attacked, said: bytes, content_type: str, status: str, target: str
) -> None:
    world.shop.behave = says(whole(said, content_type=content_type, status=status))
    answer = world.get(f"/{target}/x")
    assert "[masked]" in answer.text or "%5Bmasked%5D" in answer.text
    assert said not in answer.content


def test_key_in_bytes_that_nobody_masks_does_not_pass(world: Attacked) -> None:
    world.shop.behave = says(whole(b"\x89PNG\x00" + SHOP_KEY.encode() + b"\xff", content_type="image/png"))
    assert SHOP_KEY.encode() not in world.get("/bare/picture.png").content


@pytest.mark.parametrize("header", ["x-echo", "location", "etag", "link", "www-thing"])
def test_credential_in_a_header_of_the_answer_is_masked(world: Attacked, header: str) -> None:
    status = "302 Found" if header == "location" else "200 OK"
    world.shop.behave = says(whole(b'{"ok":1}', f"{header}: <https://h.example/?k={SHOP_KEY}>", status=status))
    assert SHOP_KEY not in str(world.get("/bare/x").headers)


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"", id="all-of-the-request"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="as-headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nbroken ", id="as-a-broken-header"),
    ],
)
def test_upstream_that_echoes_bytes_shows_and_writes_nothing_of_the_credential(world: Attacked, garbage: bytes) -> None:
    def behave(connection: socket.socket, request: Arrived) -> None:
        lines = request.head.split(b"\r\n")
        mine = [line for line in lines if SHOP_KEY.encode() in line]
        assert mine
        connection.sendall(garbage + b"\r\n".join([*mine, *lines]) + b"\r\n\r\n")

    world.shop.behave = behave
    answer = world.get("/shop/x")
    assert SHOP_KEY not in answer.text
    assert SHOP_KEY not in str(answer.headers)
