"""A reviewer in front of the real console: logs in at the issuer, reads what is held, approves it, and it runs."""

import asyncio
import re
import sys
from collections.abc import Iterator

import httpx
import pytest
from tests.fakes.processes import Program
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e

HOSTILE = "<script>alert(1)</script>"
RITA = {
    "sub": "u-rita",
    "email": "rita@corp.example",
    "name": "Rita Reviewer",
    "groups": ["reviewers"],
    "password": "rita",
}
ALICE = {
    "sub": "u-alice",
    "email": "alice@corp.example",
    "name": "Alice Archer",
    "groups": ["developers", "reviewers"],
    "password": "alice",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("console"), json_response=True, stateless=True) as world:
        world.issuer.grants.users = [RITA, ALICE]
        world.start()
        console = Program([sys.executable, "-m", "holdpoint.cli", "--config", str(world.settings_file), "console"])
        try:
            console.wait_for("holdpoint: the console is at")
            yield world
        finally:
            console.stop()


def log_in(world: World, browser: httpx.Client, who: dict[str, object], then: str) -> httpx.Response:
    """Go to a page of the console, log in at the issuer on the way, and return the page."""
    login = browser.get(f"http://127.0.0.1:{world.console}{then}")
    assert login.status_code == 303, login.text
    while login.status_code in (302, 303) and not login.headers["location"].startswith(world.issuer.url):
        login = browser.get(httpx.URL(str(login.url)).join(login.headers["location"]))
    back = browser.post(login.headers["location"], data={"email": who["email"], "password": who["password"]})
    assert back.status_code == 303, back.text
    shown = browser.get(back.headers["location"])
    while shown.status_code in (302, 303):
        shown = browser.get(httpx.URL(str(shown.url)).join(shown.headers["location"]))
    return shown


async def held(world: World, client: httpx.AsyncClient, name: str) -> tuple["asyncio.Future[httpx.Response]", str]:
    """Make a call that is held; return what will become of it, and the id of the request."""
    headers = world.headers(world.token(groups=["developers"]))
    asked = asyncio.ensure_future(
        client.post(
            world.url, headers=headers, json=call("write_note", {"name": name, "text": "<script>alert(1)</script>"})
        )
    )
    rita = world.id_token("rita@corp.example", "reviewers")
    admin, version = world.admin(), 0
    while True:
        version = (await admin.call("approvals.wait_change", {"since": version}))["version"]
        found = (await admin.call("approvals.list", {"id_token": rita, "state": ["pending"]}))["requests"]
        if found:
            return asked, found[0]["id"]


def decide(world: World, browser: httpx.Client, request_id: str, page: str, verdict: str) -> httpx.Response:
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page[page.index('id="decide"') :]))
    return browser.post(
        f"http://127.0.0.1:{world.console}/requests/{request_id}/decide",
        data={**form, "verdict": verdict, "comment": "seen in the console"},
        headers={"origin": f"http://127.0.0.1:{world.console}"},
    )


async def test_a_reviewer_approves_in_the_console_and_exactly_that_runs(world: World) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        asked, request_id = await held(world, client, "from-console")
        with httpx.Client(trust_env=False, timeout=20) as browser:
            page = await asyncio.to_thread(log_in, world, browser, RITA, f"/requests/{request_id}")
            assert page.status_code == 200
            assert "from-console" in page.text
            assert "<script>alert(1)" not in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            answer = await asyncio.to_thread(decide, world, browser, request_id, page.text, "approve")
            assert answer.status_code == 303, answer.text
        result = await asked
    assert "wrote from-console" in result.text
    assert world.notes.seen.calls.count("write_note from-console") == 1


async def test_the_requester_is_refused_in_the_console(world: World) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        asked, request_id = await held(world, client, "own-in-console")
        with httpx.Client(trust_env=False, timeout=20) as browser:
            page = await asyncio.to_thread(log_in, world, browser, ALICE, f"/requests/{request_id}")
            answer = await asyncio.to_thread(decide, world, browser, request_id, page.text, "approve")
            assert answer.status_code in (403, 409), answer.text
            assert not asked.done()
        rita = world.id_token("rita@corp.example", "reviewers")
        request = await world.admin().call("approvals.get", {"id": request_id, "id_token": rita})
        verdict = {
            "id": request_id,
            "expect": request["intent"],
            "preview": request["preview_digest"],
            "verdict": "deny",
            "id_token": rita,
        }
        await world.admin().call("approvals.decide", verdict)
        await asked
    assert "write_note own-in-console" not in world.notes.seen.calls
