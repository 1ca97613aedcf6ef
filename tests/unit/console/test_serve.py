import asyncio
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.fakes.admin_gateway import FakeGateway, SocketCalls
from tests.fakes.console_browser import issuer_settings, request_wire
from tests.fakes.issuer import FakeIssuer

from holdpoint.console import connections
from holdpoint.console.app import app_of, create_app, create_site
from holdpoint.console.serve import MOST_REQUESTS, Server, config
from holdpoint.console.site import Site
from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import Address, Console, Issuer

CONSOLE = Console(Address("127.0.0.1", 0), "http://127.0.0.1:0", issuer="corp", client_id="holdpoint-console")


@asynccontextmanager
async def running(settings: Console, site: Site, listener: socket.socket) -> AsyncGenerator[None]:
    listens = asyncio.Event()
    server = Server(config(settings, app_of(site)), site.feed, listens.set)
    task = asyncio.ensure_future(server.serve([listener]))
    await listens.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def test_a_reviewer_logs_in_and_approves_over_real_sockets(tmp_path: Path) -> None:
    gateway = FakeGateway()
    gateway.add(request_wire())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        clients = [{"client_id": "holdpoint-console", "redirect_uris": [url + "/auth/callback"]}]
        async with gateway.serve(tmp_path / "admin.sock"), httpx.AsyncClient(follow_redirects=True) as http:
            with FakeIssuer(clients=clients, alg="ES256") as issuer:
                settings = replace(CONSOLE, url=url)
                calls = SocketCalls(tmp_path / "admin.sock")
                site = create_site(settings, issuer_settings(issuer), calls, http=http)
                async with running(settings, site, listener):
                    form = await http.get(f"{url}/requests/apr-1")
                    assert form.url.port == issuer.port
                    page = await http.post(str(form.url), data={"email": "rita@corp.example", "password": "rita"})
                    assert str(page.url) == f"{url}/requests/apr-1"
                    fields = dict(re.findall(r'name="(token|expect)" value="([^"]*)"', page.text))
                    done = await http.post(f"{url}/requests/apr-1/decide", data=fields | {"verdict": "approve"})
                    assert done.status_code == 200
                    assert "approved" in done.text
                    assert gateway.requests["apr-1"]["state"] == "approved"
                    news = await http.get(f"{url}/changes", params={"since": "behind"})
                    assert news.status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://console.example",
        "https://console.example/path",
        "https://user@console.example",
        "https://console.example?x",
        "console.example",
        "",
    ],
)
async def test_a_console_whose_address_is_not_safe_does_not_start(url: str) -> None:
    async with httpx.AsyncClient() as http:
        issuer = Issuer("corp", "https://idp.example", frozenset({"ES256"}), frozenset())
        with pytest.raises(ConfigError):
            create_app(replace(CONSOLE, url=url), issuer, FakeGateway(), http=http)


@pytest.mark.threat("T78")
async def test_who_only_connects_keeps_nobody_from_deciding() -> None:
    async with quiet_console() as (port, url), httpx.AsyncClient() as http, AsyncExitStack() as stack:
        for number in range(MOST_REQUESTS + 50):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.push_async_callback(_closed, writer)
            if number % 2:
                writer.write(b"GET / HTTP/1.1\r\nHost: ")
        assert (await http.get(f"{url}/static/console.css")).status_code == 200


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /static/console.css HTTP/1.1\r\nHost: ", id="half a head"),
        pytest.param(b"GET /goodbye HTTP/1.1\r\nHost: {host}\r\n\r\nGET", id="half a second head"),
    ],
)
async def test_a_request_that_does_not_come_ends_its_connection(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    async with quiet_console() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun.replace(b"{host}", b"127.0.0.1:%d" % port))
        async with asyncio.timeout(10):
            with suppress(ConnectionResetError):
                while await reader.read(65_536):
                    pass
        await _closed(writer)


async def test_who_reads_nothing_of_the_answers_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    async with quiet_console() as (port, url):
        head = f"GET /static/console.css HTTP/1.1\r\nHost: {url.removeprefix('http://')}\r\n\r\n".encode()
        with pytest.raises(OSError, match=r"reset|pipe"):
            await _ask_on(port, head)


async def _ask_on(port: int, request: bytes) -> None:
    """Ask again and again, and read nothing."""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.settimeout(0)
        async with asyncio.timeout(20):
            while True:
                await asyncio.get_running_loop().sock_sendall(raw, request)


async def test_a_page_that_takes_long_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.05)
    async with quiet_console() as (port, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        length = len(b"token=a")
        head = f"POST /logout HTTP/1.1\r\nHost: {url.removeprefix('http://')}\r\ncontent-length: {length}\r\n"
        writer.write(head.encode() + b"content-type: application/x-www-form-urlencoded\r\n\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.read(1)
        writer.write(b"token=a")
        assert (await reader.readline()).startswith(b"HTTP/1.1 303")
        await _closed(writer)


@asynccontextmanager
async def quiet_console() -> AsyncGenerator[tuple[int, str]]:
    """A console that nobody is logged in at."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        settings = replace(CONSOLE, url=f"http://127.0.0.1:{port}")
        async with httpx.AsyncClient() as http:
            issuer = Issuer("corp", "https://idp.example", frozenset({"ES256"}), frozenset())
            site = create_site(settings, issuer, FakeGateway(), http=http)
            async with running(settings, site, listener):
                yield port, settings.url


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
