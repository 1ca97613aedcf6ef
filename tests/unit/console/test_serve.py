import asyncio
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.fakes.admin_gateway import FakeGateway, SocketCalls
from tests.fakes.console_browser import issuer_settings, request_wire
from tests.fakes.issuer import FakeIssuer

from holdpoint.console.app import app_of, create_app, create_site
from holdpoint.console.serve import Server, config
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
