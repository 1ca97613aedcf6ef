"""A console with its issuer and gateway, and a reviewer's browser in front of it, all in process."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from tests.fakes.admin_gateway import FakeGateway
from tests.fakes.issuer import FakeIssuer

from holdpoint.clock import ManualClock
from holdpoint.console.app import create_app
from holdpoint.console.signing import Signing
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.settings import Address, Console, Issuer, Reviewers

URL = "https://console.example"
INTENT = "sha256:" + "ab" * 32
NOBODY = Reviewers()
CLIENTS = [{"client_id": "holdpoint-console", "redirect_uris": [URL + "/auth/callback"]}]


def request_wire(request_id: str = "apr-1", **changes: JsonValue) -> JsonObject:
    """A held request in the gateway's JSON."""
    term: JsonObject = {
        "rule": "eks-prod/shells-need-two-people",
        "reviewers": ["group:sre"],
        "required": 1,
        "approved_by": [],
        "scope": "request",
        "duration": 0,
        "timeout": 600,
    }
    good: JsonObject = {
        "id": request_id,
        "state": "pending",
        "created_at": 1_800_000_000.0,
        "deadline": 1_800_000_600.0,
        "principal": {
            "id": "https://idp.example#u-alice",
            "kind": "human",
            "person": "alice@corp.example",
            "name": "Alice Archer",
            "groups": ["dev"],
            "actor": {"subject": "deploy-agent"},
        },
        "target": "eks-prod",
        "action": "tools/call",
        "resource": "tool scale_deployment",
        "rules": ["eks-prod/shells-need-two-people"],
        "reasons": ["production needs a second pair of eyes"],
        "terms": [term],
        "preview": {"arguments": {"name": "checkout", "replicas": 3}, "unverified": {"client": "cursor 1.2"}},
        "intent": INTENT,
        "votes": [],
        "waiters": 1,
        "resolution": "",
        "grant": "",
    }
    return good | changes


@dataclass
class Browser:
    """A browser with the console, and everything behind it, at hand."""

    http: httpx.AsyncClient
    issuer: FakeIssuer
    issuer_http: httpx.AsyncClient
    gateway: FakeGateway
    clock: ManualClock

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(path, **options)

    async def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        return await self.http.post(path, data=form, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def go_to_issuer(self, next_path: str = "") -> str:
        """Begin a login; return the issuer's address."""
        answer = await self.http.get("/login", params={"next": next_path} if next_path else {})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def give_password(self, address: str, user: str = "rita") -> str:
        """Log in at the issuer; return the address it sends the browser back to."""
        form = {"email": f"{user}@corp.example", "password": user}
        answer = await self.issuer_http.post(address, data=form)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def log_in(self, next_path: str = "", *, user: str = "rita") -> httpx.Response:
        back = await self.give_password(await self.go_to_issuer(next_path), user)
        answer = await self.http.get(back)
        assert answer.status_code == 303, answer.text
        return answer

    async def form(self, request_id: str = "apr-1") -> dict[str, str]:
        """Open a request and return the hidden fields of its form."""
        page = (await self.get(f"/requests/{request_id}")).text
        return dict(
            re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page[page.index('id="decide"') :])
        )

    async def form_of(self, mark: str, *, path: str = "/requests/apr-1") -> dict[str, str]:
        """Open a page and return the hidden fields of the first form behind a mark in its source."""
        page = (await self.get(path)).text
        form = page[page.index(mark) :].partition("</form>")[0]
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


@asynccontextmanager
async def browser_of(
    url: str = URL,
    *,
    reviewers: Reviewers = NOBODY,
    signing: Signing = Signing(),  # noqa: B008  # immutable
) -> AsyncGenerator[Browser]:
    clock = ManualClock()
    issuer = FakeIssuer(clients=[CLIENTS[0] | {"redirect_uris": [url + "/auth/callback"]}], clock=clock, alg="ES256")
    gateway = FakeGateway()
    settings = Console(address=Address("127.0.0.1", 0), url=url, issuer="corp", client_id="holdpoint-console")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app())) as issuer_http:
        app = create_app(
            settings,
            issuer_settings(issuer),
            gateway,
            http=issuer_http,
            reviewers=reviewers,
            clock=clock,
            signing=signing,
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=url) as http:
            try:
                yield Browser(http, issuer, issuer_http, gateway, clock)
            finally:
                issuer.stop()


def issuer_settings(issuer: FakeIssuer, **changes: Any) -> Issuer:
    good: dict[str, Any] = {"name": "corp", "url": issuer.url, "algorithms": frozenset({"ES256"})}
    return Issuer(**(good | {"audiences": frozenset({issuer.audience})} | changes))
