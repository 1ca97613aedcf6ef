"""Two reviewers approve what two must, each confirmed by a certified identity provider, and the record proves it."""

import asyncio
import contextlib
import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.fakes.node_parts import NODE, need
from tests.fakes.person import AtTerminal, command_line
from tests.fakes.processes import Program, free_port
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e
PAGES = (200, 302, 303)


@dataclass
class Place:
    """A gateway, its console, and an identity provider that is not ours."""

    world: World
    issuer: str

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.world.console}"

    def read(self, request_id: str) -> str:
        """Digest of what is to be read, as it was written down when the request was held."""
        details = [e["detail"] for e in self.world.audited() if e["stage"] == "Held"]
        return next(str(d["preview"]) for d in details if d["approval"] == request_id)

    def verify(self, *arguments: str) -> tuple[int, str]:
        command = ["holdpoint.cli", "--config", str(self.world.settings_file), "approvals", "verify", *arguments]
        program = Program([sys.executable, "-m", *command])
        return program.wait(timeout=60), program.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    need("oidc-provider")
    world = World(tmp_path_factory.mktemp("confirmed"), json_response=True, stateless=True)
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    npm = (
        f"issuers:\n  - name: npm\n    url: {issuer}\n    algorithms: [RS256]\n"
        f'    audiences: ["{world.url}"]\n    login: {{client_id: holdpoint-cli, scopes: [openid]}}\n  - name: test\n'
    )
    world.write_settings(
        **{
            "issuers:\n  - name: test\n": npm,
            "reviewers: {issuers: [test], max_age: 12h}": "reviewers: {issuers: [npm], confirm: login}",
            "issuer: test, client_id: holdpoint-console}": (
                "issuer: npm, client_id: holdpoint-console, "
                "signing: {id: console-1, file: var/keys/console.pem, create: true}}"
            ),
        }
    )
    policy = world.policies / "demo.yaml"
    policy.write_text(
        policy.read_text().replace(
            'reviewers: ["group:reviewers"], t', 'reviewers: ["group:reviewers"], required: 2, t'
        )
    )
    console_url = f"http://127.0.0.1:{world.console}"
    with contextlib.ExitStack() as stack:
        provider = Program(["node", "provider.mjs", str(port), world.url], cwd=NODE, env={"CONSOLE": console_url})
        stack.callback(provider.stop)
        provider.wait_for("provider at")
        stack.enter_context(world)
        world.start()
        console = Program([sys.executable, "-m", "holdpoint.cli", "--config", str(world.settings_file), "console"])
        stack.callback(console.stop)
        console.wait_for("holdpoint: the console is at")
        yield Place(world, issuer)


def follow(browser: httpx.Client, url: str, who: str) -> tuple[httpx.Response, int]:
    """Go where the browser is led, and fill in every form of the provider; return the page, and how often that was."""
    found = re.search(r"https?://\S+", url)
    assert found is not None, url
    forms, page = 0, browser.get(found[0])
    while True:
        assert page.status_code in PAGES, page.text
        if page.status_code != httpx.codes.OK:
            page = browser.get(page.url.join(page.headers["location"]))
            continue
        form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
        if form is None or prompt is None:
            return page, forms
        forms += prompt[1] == "login"
        page = browser.post(page.url.join(form[1]), data={"login": f"u-{who}", "password": "x", "prompt": prompt[1]})


def decide(place: Place, browser: httpx.Client, page: httpx.Response, request_id: str) -> httpx.Response:
    fields = page.text[page.text.index('id="decide"') :]
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', fields))
    read = {"preview": place.read(request_id)}
    assert form | read == read | form, "the page names the preview that is in the record"
    return browser.post(
        f"{place.console}/requests/{request_id}/decide",
        data={**read, **form, "verdict": "approve", "comment": ""},
        headers={"origin": place.console},
    )


def lead_on(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
    assert found is not None, answer.text
    return html.unescape(found[1])


def approve_in_console(place: Place, request_id: str, who: str) -> int:
    """Log in, read, approve, confirm. Returns how often the provider asked who it is to confirm."""
    with httpx.Client(trust_env=False, timeout=30) as browser:
        page, asked = follow(browser, f"{place.console}/requests/{request_id}", who)
        assert asked == 1
        there = lead_on(decide(place, browser, page, request_id))
        assert "nonce=sha256" in there
        shown, again = follow(browser, there, who)
        assert str(shown.url) == f"{place.console}/requests/{request_id}", shown.text
        return again


def approve_at_terminal(place: Place, request_id: str, who: str, folder: Path) -> str:
    """Log in and approve at a terminal; the browser is somewhere on the same machine."""
    program = str(command_line(folder))
    env = {"HOLDPOINT_TOKENS": str(folder / "tokens"), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    config = ["--config", str(place.world.settings_file)]
    for command in (["login", "--no-browser", "--issuer", "npm"], ["approvals", "approve", "--no-browser", request_id]):
        with AtTerminal([program, *config, *command], env, folder) as asked:
            address = asked.says("log in at" if command[0] == "login" else "confirm your decision at")
            with httpx.Client(trust_env=False, timeout=30) as browser:
                follow(browser, address, who)
            status, out, err = asked.ends()
        assert status == 0, err
        if command[0] == "login":
            by_code = [program, *config, "approvals", "approve", "--device", request_id]
            told = subprocess.run(by_code, env=env, capture_output=True, text=True, timeout=60, check=False)
            assert (told.returncode, "cannot carry the digest" in told.stderr) == (1, True), told.stderr
    return out


async def held(place: Place, client: httpx.AsyncClient, name: str) -> tuple["asyncio.Future[httpx.Response]", str]:
    world = place.world
    headers = world.headers(world.token(groups=["developers"]))
    arguments = {"name": name, "text": "two people read this"}
    before = {e["detail"]["approval"] for e in world.audited() if e["stage"] == "Held"}
    asked = asyncio.ensure_future(client.post(world.url, headers=headers, json=call("write_note", arguments)))
    version = 0
    while True:
        version = (await world.admin().call("approvals.wait_change", {"since": version}))["version"]
        for event in world.audited():
            if event["stage"] == "Held" and event["detail"]["approval"] not in before:
                return asked, event["detail"]["approval"]


async def test_two_reviewers_confirm_and_exactly_that_runs_and_the_record_proves_it(
    place: Place, tmp_path: Path
) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=90) as client:
        asked, request_id = await held(place, client, "confirmed")
        logins = await asyncio.to_thread(approve_in_console, place, request_id, "rita")
        assert logins == 1, "`confirm: login` asks again who it is"
        assert not asked.done()
        out = await asyncio.to_thread(approve_at_terminal, place, request_id, "sam", tmp_path)
        assert f"{request_id}: approved" in out
        result = await asked
        assert "wrote confirmed" in result.text
        jwks = tmp_path / "jwks.json"
        document = (await client.get(f"{place.issuer}/.well-known/openid-configuration")).json()
        jwks.write_text((await client.get(document["jwks_uri"])).text)
    status, told = await asyncio.to_thread(place.verify, "--jwks", str(jwks), request_id)
    assert status == 0, told
    assert "u-rita@corp.example, u-sam@corp.example" in told
    assert "claimed  " not in told
    kept = json.dumps(place.world.audited())
    assert '"issuer_key"' in kept
