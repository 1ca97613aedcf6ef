"""Answers that lead the caller away, or come in pieces too small to be recognised."""

import socket
from collections.abc import Iterator

import pytest
from tests.fakes.attacked import Attacked, as_json, attacked
from tests.fakes.raw_upstream import Arrived, Behaviour, whole
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T07")]

AWS = "AKIAIOSFODNN7EXAMPLE"
READ = call("read_note", {"name": "x"})
PIECE = "206 Partial Content"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("away")) as world:
        yield world


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> None:
    world.mcp.forget()
    world.shop.forget()


def says(answer: bytes) -> Behaviour:
    return lambda connection, _request: connection.sendall(answer)


def test_cookies_of_the_upstream_stay_with_the_gateway(world: Attacked) -> None:
    world.shop.behave = says(whole(b'{"ok":1}', "Set-Cookie: SID=session-of-the-gateway", "Set-Cookie2: SID=x"))
    answer = world.get("/shop/x")
    assert answer.json() == {"ok": 1}
    assert "set-cookie" not in answer.headers
    assert "set-cookie2" not in answer.headers


@pytest.mark.parametrize(
    "status",
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
def test_mcp_client_is_not_sent_elsewhere_with_its_token(world: Attacked, status: str) -> None:
    world.mcp.behave = says(whole(b"", "Location: http://127.0.0.1:9/steal", status=status))
    answer = world.post(READ)
    assert "location" not in answer.headers
    assert answer.json()["error"]["data"]["kind"] == "upstream"


def test_secret_cannot_be_fetched_in_pieces(world: Attacked) -> None:
    def pieces(connection: socket.socket, request: Arrived) -> None:
        text = f"key: {AWS} end".encode()
        ranges = request.headers("range")
        if not ranges:
            connection.sendall(whole(text, content_type="text/plain"))
            return
        first, _, last = ranges[0].removeprefix("bytes=").partition("-")
        part = text[int(first) : int(last) + 1]
        connection.sendall(
            whole(
                part,
                f"Content-Range: bytes {first}-{last}/{len(text)}",
                content_type="text/plain",
                status="206 Partial Content",
            )
        )

    world.shop.behave = pieces
    got = "".join(
        world.get("/shop/notes.txt", Range=f"bytes={i * 8}-{i * 8 + 7}", If_Range='"x"').text for i in range(4)
    )
    assert AWS not in got
    assert world.shop.requests[-1].names.isdisjoint({"range", "if-range"})


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            whole(AWS[:9].encode(), "Content-Range: bytes 0-8/20", content_type="text/plain", status=PIECE),
            id="206",
        ),
        pytest.param(whole(AWS[:9].encode(), content_type="multipart/byteranges; boundary=x"), id="byteranges"),
    ],
)
def test_piece_that_nobody_asked_for_is_withheld(world: Attacked, answer: bytes) -> None:
    world.shop.behave = says(answer)
    said = world.get("/shop/notes.txt")
    assert said.status_code >= 500
    assert AWS[:9] not in said.text


def test_digests_of_what_was_masked_are_not_shown(world: Attacked) -> None:
    names = ("ETag", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "x-amz-checksum-sha256", "x-goog-hash")
    world.shop.behave = says(whole(as_json({"password": "hunter2"}), *(f'{n}: "0123abcd"' for n in names)))
    answer = world.get("/shop/x")
    assert answer.json() == {"password": "[masked]"}
    assert "0123abcd" not in str(answer.headers)
