"""The SDKs' own OAuth clients, and a person at the login page for those that send their user to a browser."""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from tests.fakes.node_parts import NODE, need
from tests.fakes.processes import Program

ALICE: dict[str, Any] = {
    "sub": "u-alice",
    "email": "alice@corp.example",
    "name": "Alice Archer",
    "groups": ["developers"],
    "password": "alice",
}
CALLBACK = "http://127.0.0.1:7799/callback"
"""Nobody listens there: the redirect is read, not followed."""


@dataclass
class Person:
    """Logs in wherever they are sent, and keeps what they were sent there with."""

    asked: list[dict[str, str]] = field(default_factory=list)
    """Parameters of each authorization request."""
    answer: dict[str, str] = field(default_factory=dict)

    async def log_in(self, url: str) -> None:
        """Open the page, fill in the form, and read where it leads."""
        self.asked.append({k: v[0] for k, v in parse_qs(urlsplit(url).query).items()})
        async with httpx.AsyncClient(trust_env=False) as browser:
            self.answer = {k: v[0] for k, v in parse_qs(urlsplit(await _leads_to(browser, url)).query).items()}

    async def come_back(self) -> AuthorizationCodeResult:
        """Return what the redirect carried."""
        return AuthorizationCodeResult.model_validate(self.answer)


async def _leads_to(browser: httpx.AsyncClient, url: str) -> str:
    """Send every form that comes, the login of either provider and a consent, until the redirect leaves it."""
    while not url.startswith(CALLBACK):
        page = await browser.get(url)
        if page.status_code in (302, 303):
            url = str(page.url.join(page.headers["location"]))
            continue
        assert page.status_code == 200, page.text
        form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
        fields = {"email": ALICE["email"], "login": ALICE["sub"], "password": ALICE["password"]}
        sent = await browser.post(
            str(page.url.join(form[1])) if form else url, data=fields | ({"prompt": prompt[1]} if prompt else {})
        )
        assert sent.status_code in (302, 303), sent.text
        url = str(sent.url.join(sent.headers["location"]))
    return url


@dataclass
class Memory(TokenStorage):
    """What a client remembers."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider(url: str, person: Person, memory: Memory) -> OAuthClientProvider:
    """The SDK's own OAuth client for a server at `url`, of which it knows nothing yet."""
    return OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="a client of the SDK",
            redirect_uris=[AnyUrl(CALLBACK)],
            token_endpoint_auth_method="none",
        ),
        storage=memory,
        redirect_handler=person.log_in,
        callback_handler=person.come_back,
    )


def run_client(major: str, url: str, calls: list[list[object]]) -> dict[str, Any]:
    """Run the TypeScript SDK's OAuth client to its end; return what it got, and what it asked the issuer for."""
    need("@modelcontextprotocol/client" if major == "2" else "@modelcontextprotocol/sdk")
    program = Program(["node", "oauth_client.mjs", major, url, json.dumps(calls)], cwd=NODE)
    status = program.wait(timeout=60)
    assert status == 0, program.output
    told: dict[str, Any] = json.loads(program.lines[-1])
    return told
