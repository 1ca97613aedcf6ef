import asyncio
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from holdpoint.admin.client import AdminClient
from holdpoint.admin.errors import AdminError
from holdpoint.admin.place import MAX_PATH
from holdpoint.admin.server import MAX_LINE, AdminServer, Limits
from holdpoint.domain.refusal import ConfigError, Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols.strict_json import loads


async def echo(params: JsonObject) -> JsonValue:
    return params


async def refuse(_: JsonObject) -> JsonValue:
    raise Refusal(RefusalKind.DENIED, "you may not", detail="secret detail")


async def deny(_: JsonObject) -> JsonValue:
    raise AdminError("not_allowed", "you made this request")


async def crash(_: JsonObject) -> JsonValue:
    raise KeyError("secret")


async def hang(_: JsonObject) -> JsonValue:
    await asyncio.Event().wait()


async def not_json(_: JsonObject) -> JsonValue:
    return float("nan")


HANDLERS = {"echo": echo, "refuse": refuse, "deny": deny, "crash": crash, "hang": hang, "not_json": not_json}


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    server = AdminServer(tmp_path / "run" / "admin.sock", HANDLERS, limits=Limits(line=0.05, call=0.05, connections=3))
    await server.start()
    yield tmp_path / "run" / "admin.sock"
    await server.close()


async def raw(path: Path, data: bytes, *, end: bool = True) -> list[JsonValue]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    if end:
        writer.write_eof()
    answers = bytearray()
    # A server that turns us away without reading resets the connection.
    with suppress(ConnectionResetError):
        while data := await reader.read(1 << 16):
            answers += data
    writer.close()
    return [loads(line) for line in bytes(answers).splitlines()]


async def test_call_returns_the_result(path):
    value: JsonObject = {"a": [1, 2**70, None, "ü\n"], "b": {"c": 0.5}}
    assert await AdminClient(path).call("echo", value) == value
    assert await asyncio.to_thread(AdminClient(path).call_sync, "echo", value) == value
    assert await AdminClient(path).call("echo") == {}


async def test_large_answers_come_whole(path):
    value: JsonObject = {"a": "x" * (MAX_LINE - 200)}
    assert await AdminClient(path).call("echo", value) == value
    assert await asyncio.to_thread(AdminClient(path).call_sync, "echo", value) == value


@pytest.mark.parametrize(
    ("method", "code", "message"),
    [
        pytest.param("refuse", "denied", "you may not", id="refusal"),
        pytest.param("deny", "not_allowed", "you made this request", id="admin error"),
        pytest.param("crash", "fault", "the gateway failed to answer; its log says why", id="exception"),
        pytest.param("not_json", "fault", "the answer cannot be written as JSON", id="answer that is not JSON"),
        pytest.param("none", "unknown_method", "there is no method `none`", id="unknown method"),
        pytest.param("hang", "timeout", "`hang` took longer than 0 seconds", id="slow handler"),
    ],
)
async def test_failure_has_a_code_and_a_message_and_no_secret(path, method, code, message):
    for call in (AdminClient(path).call, lambda m: asyncio.to_thread(AdminClient(path).call_sync, m)):
        with pytest.raises(AdminError) as caught:
            await call(method)
        assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{", id="broken"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"id":1,"id":2,"method":"echo"}', id="duplicate key"),
        pytest.param(b'{"id":NaN,"method":"echo"}', id="not a number"),
        pytest.param(b'{"method":"echo"}', id="no id"),
        pytest.param(b'{"id":true,"method":"echo"}', id="boolean id"),
        pytest.param(b'{"id":1,"method":5}', id="number as method"),
        pytest.param(b'{"id":1,"method":"echo","params":[]}', id="list as params"),
        pytest.param(b'{"id":1,"method":"echo","extra":1}', id="unknown key"),
        pytest.param(b'{"id":1,"method":"echo","params":' + b"[" * 90 + b"]" * 90 + b"}", id="deep"),
    ],
)
async def test_bad_request_is_answered_and_the_connection_stays(path, line):
    good = b'{"id":7,"method":"echo"}'
    first, second = await raw(path, line + b"\n" + good + b"\n")
    assert first["error"]["code"] == "bad_request"
    assert second == {"id": 7, "result": {}}


@pytest.mark.threat("T20")
async def test_line_that_is_too_long_is_refused_and_ends_the_connection(path):
    answers = await raw(path, b'{"id":1,"method":"echo","params":{"a":"' + b"x" * MAX_LINE, end=False)
    assert [a["error"]["code"] for a in answers] == ["too_large"]


@pytest.mark.threat("T20")
async def test_client_that_does_not_finish_its_line_is_dropped(path):
    assert await raw(path, b'{"id":1', end=False) == []


@pytest.mark.threat("T20")
async def test_too_many_connections_are_told_so(path):
    open_ones = [await asyncio.open_unix_connection(path) for _ in range(3)]
    for _, writer in open_ones:
        writer.write(b'{"id":1,"method":"echo"}\n')
    for reader, _ in open_ones:
        await reader.readline()
    with pytest.raises(AdminError, match="too many connections"):
        await AdminClient(path).call("echo")
    for _, writer in open_ones:
        writer.close()


@pytest.mark.threat("T20")
async def test_client_that_takes_no_answers_is_dropped(tmp_path):
    server = AdminServer(tmp_path / "run" / "a.sock", {"big": big}, limits=Limits(write=0.05))
    await server.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "run" / "a.sock", limit=1)
    reader._transport.pause_reading()
    writer.write(b'{"id":1,"method":"big"}\n')
    while not server._connections:  # until the server has accepted
        await asyncio.sleep(0)
    await asyncio.gather(*server._connections)
    writer.close()
    await server.close()


async def big(_: JsonObject) -> JsonValue:
    return "x" * (8 << 20)


@pytest.mark.threat("T14")
async def test_socket_is_for_the_owner_alone(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_closing_removes_the_socket_and_drops_clients(tmp_path):
    path = tmp_path / "run" / "a.sock"
    server = AdminServer(path, HANDLERS)
    await server.start()
    calling = asyncio.ensure_future(AdminClient(path).call("hang"))
    while not server._connections:  # until the server has accepted
        await asyncio.sleep(0)
    await server.close()
    with pytest.raises(AdminError) as caught:
        await calling
    assert caught.value.code == "unavailable"
    assert not path.exists()


async def test_stale_socket_of_a_dead_process_is_replaced(tmp_path):
    path = tmp_path / "run" / "a.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = AdminServer(path, HANDLERS)
    await server.start()
    assert await AdminClient(path).call("echo") == {}
    await server.close()


@pytest.mark.failure("F-admin-taken")
async def test_live_gateway_is_not_replaced(path):
    with pytest.raises(ConfigError, match=rf"process {os.getpid()} listens there"):
        await AdminServer(path, HANDLERS).start()
    assert await AdminClient(path).call("echo") == {}


@pytest.mark.failure("F-admin-taken")
async def test_live_socket_of_another_program_is_not_replaced(tmp_path):
    path = tmp_path / "run" / "a.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConfigError, match="another process listens there"):
            await AdminServer(path, HANDLERS).start()
        assert path.exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param(lambda p: p.write_text("keep me"), "is not a socket", id="a file in the way"),
        pytest.param(lambda p: p.parent.chmod(0o755), "open to others", id="folder open to others"),
    ],
)
async def test_start_refuses_when(tmp_path, prepare, message):
    path = tmp_path / "run" / "a.sock"
    path.parent.mkdir(mode=0o700)
    prepare(path)
    with pytest.raises(ConfigError, match=message):
        await AdminServer(path, HANDLERS).start()
    assert not path.exists() or path.read_text() == "keep me"


async def test_path_longer_than_a_socket_address_is_refused_by_name(tmp_path):
    path = tmp_path / ("x" * MAX_PATH)
    with pytest.raises(ConfigError, match="choose a shorter path"):
        await AdminServer(path, HANDLERS).start()
    with pytest.raises(AdminError, match="too long"):
        await AdminClient(path).call("echo")


@pytest.mark.parametrize("stale", [False, True], ids=["no socket", "stale socket"])
async def test_client_without_a_gateway_says_how_to_go_on(tmp_path, stale):
    path = tmp_path / "a.sock"
    if stale:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    for call in (AdminClient(path).call, lambda m: asyncio.to_thread(AdminClient(path).call_sync, m)):
        with pytest.raises(AdminError, match=r"no gateway listens at .*: start it") as caught:
            await call("echo")
        assert caught.value.code == "unavailable"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(b"nonsense\n", "bad_answer", id="not JSON"),
        pytest.param(b'{"id":2,"result":1}\n', "bad_answer", id="of another call"),
        pytest.param(b'{"id":1}\n', "bad_answer", id="no result"),
        pytest.param(b'{"id":null,"result":1}\n', "bad_answer", id="result of nothing"),
        pytest.param(b'{"id":1,"error":{"code":5}}\n', "bad_answer", id="error without code"),
        pytest.param(b'{"id":1,"resu', "unavailable", id="cut off"),
        pytest.param(None, "timeout", id="silence"),
    ],
)
async def test_odd_gateway_is_an_error_at_the_client(tmp_path, answer, code):
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if answer is None:
            await done.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "a.sock")
    client = AdminClient(tmp_path / "a.sock", timeout=0.05 if answer is None else 10)
    for call in (client.call, lambda m: asyncio.to_thread(client.call_sync, m)):
        with pytest.raises(AdminError) as caught:
            await call("echo")
        assert caught.value.code == code
    done.set()
    server.close()


INTRUDER = """
import os, socket, sys
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
try:
    s.sendall(b'{"id":1,"method":"echo"}\\n')
    sys.exit(3 if s.recv(9) else 0)
except ConnectionError:
    sys.exit(0)
"""


@pytest.mark.threat("T14")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
async def test_process_of_another_user_is_refused(caplog):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.sock"
        server = AdminServer(path, HANDLERS)
        await server.start()
        # Opened wide on purpose: the kernel's word on who it is must be enough.
        path.parent.chmod(0o755)
        path.chmod(0o666)
        done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", INTRUDER, str(path)], check=False)
        await server.close()
    assert done.returncode == 0
    assert "from user id 65534" in caplog.text


@pytest.mark.threat("T14")
async def test_peer_that_the_kernel_does_not_name_is_refused(path, monkeypatch):
    monkeypatch.setattr("holdpoint.admin.server.peer_uid", lambda _: None)
    with pytest.raises(AdminError, match="closed the connection"):
        await AdminClient(path).call("echo")


@pytest.mark.threat("T14")
@pytest.mark.parametrize(("uid", "served"), [(os.geteuid(), True), (0, True), (os.geteuid() + 1, False)])
async def test_own_user_and_root_are_served_and_nobody_else(path, monkeypatch, uid, served):
    real = socket.SO_PEERCRED
    peer = SimpleNamespace(getsockopt=lambda _, option, __: struct.pack("3i", 1, uid, 1) if option == real else b"")
    monkeypatch.setattr("holdpoint.admin.server.asyncio.StreamWriter.get_extra_info", lambda *_: peer)
    answers = await raw(path, b'{"id":1,"method":"echo"}\n')
    assert answers == ([{"id": 1, "result": {}}] if served else [])
