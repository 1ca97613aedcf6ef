"""Targets that observe, plain HTTP targets, and policies that change under way."""

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from tests.fakes.notes_server import NotesServer
from tests.fakes.world import UPSTREAM_TOKEN, World, call

pytestmark = pytest.mark.e2e

HTTP_POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: orders}
targets: [orders]
rules:
  - name: read
    effect: allow
    match: {verbs: [get], paths: ["/api/orders/*"]}
    mask: [credentials]
  - name: small-orders
    effect: allow
    match: {verbs: [post], paths: ["/api/orders/new"]}
    when: args.amount < 100
  - name: large-orders
    effect: hold
    match: {verbs: [post], paths: ["/api/orders/new"]}
    when: args.amount >= 100
    approval: {reviewers: ["group:reviewers"], timeout: 1m}
"""


class Orders(BaseHTTPRequestHandler):
    """A plain HTTP service that answers what it got."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, bytes]] = []  # noqa: RUF012  # shared by all requests on purpose

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["content-length"])))

    def _answer(self, body: bytes) -> None:
        self.seen.append((self.command, self.path, body))
        said = json.dumps({"path": self.path, "token": "tok-3f9a8b7c6d5e", "id": 12345678901234567890}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Orders)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    world = World(tmp_path_factory.mktemp("modes"), json_response=True, stateless=True)
    watched = NotesServer(token=UPSTREAM_TOKEN, json_response=True, stateless=True)
    more = (
        "  - name: orders\n    protocol: http\n"
        f"    url: http://127.0.0.1:{server.server_port}/api\n    routes: [/shop]\n    credential: {{kind: none}}\n"
        "  - name: watched\n    protocol: mcp\n    mode: observe\n"
        f"    url: {watched.url}\n    routes: [/mcp/watched]\n"
        "    credential: {kind: static, from: {env: NOTES_TOKEN}}\n"
    )
    (world.policies / "orders.yaml").write_text(HTTP_POLICY)
    world.more_targets = more
    world.write_settings(**{"policies: [demo.yaml,": "policies: [demo.yaml, orders.yaml,"})
    try:
        with watched, world:
            world.start()
            world.watched = watched  # type: ignore[attr-defined]
            yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def headers(world: World) -> dict[str, str]:
    return {"authorization": f"Bearer {world.token(groups=['developers'])}"}


def events(world: World) -> list[dict[str, object]]:
    lines = b"".join(f.read_bytes() for f in sorted((world.var / "recordings" / "audit").glob("*.jsonl")))
    return [json.loads(line)["event"] for line in lines.splitlines() if b'"event"' in line]


def test_a_plain_service_is_read_and_masked_and_other_numbers_stay_whole(world: World) -> None:
    with world.client() as http:
        answer = http.get(f"{world.base}/shop/orders/7?full=1", headers=headers(world))
    assert answer.status_code == 200
    assert answer.json() == {"path": "/api/orders/7?full=1", "token": "[masked]", "id": 12345678901234567890}
    assert "Bearer" not in str(Orders.seen)


def test_arguments_decide_at_a_plain_service(world: World) -> None:
    rita = world.id_token("rita@corp.example", "reviewers")
    with world.client() as http:
        small = http.post(f"{world.base}/shop/orders/new", headers=headers(world), json={"amount": 99})
        assert small.status_code == 200
        other = http.post(f"{world.base}/shop/orders/cancel", headers=headers(world), json={"amount": 1})
        assert other.status_code == 403
        assert other.headers["content-type"] == "application/problem+json"
        assert other.json()["kind"] == "denied"

    async def large() -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            asked = asyncio.ensure_future(
                client.post(f"{world.base}/shop/orders/new", headers=headers(world), json={"amount": 100})
            )
            version = 0
            admin = world.admin()
            while True:
                version = (await admin.call("approvals.wait_change", {"since": version}))["version"]
                found = await admin.call("approvals.list", {"id_token": rita, "state": ["pending"]})
                if found["requests"]:
                    break
            held = found["requests"][0]
            assert not any(b'"amount":100' in body.replace(b" ", b"") for _, _, body in Orders.seen)
            await admin.call(
                "approvals.decide",
                {
                    "id": held["id"],
                    "expect": held["intent"],
                    "preview": held["preview_digest"],
                    "verdict": "approve",
                    "id_token": rita,
                },
            )
            return await asked

    assert asyncio.run(large()).status_code == 200
    assert sum(b'"amount":100' in body.replace(b" ", b"") for _, _, body in Orders.seen) == 1


@pytest.mark.parametrize("path", ["/shop/orders//7", "/shop/orders/%2e%2e/7", "/shop/orders/a%2fb"])
def test_an_ambiguous_path_is_refused(world: World, path: str) -> None:
    before = len(Orders.seen)
    with httpx.Client(trust_env=False) as client:
        request = client.build_request("GET", world.base + "/x", headers=headers(world))
        request.url = httpx.URL(scheme="http", host="127.0.0.1", port=world.reverse, raw_path=path.encode())
        answer = client.send(request)
    assert answer.status_code in (400, 404)
    assert len(Orders.seen) == before


def test_an_observing_target_lets_through_what_it_would_deny_and_says_so(world: World) -> None:
    url = f"{world.base}/mcp/watched"
    with world.client() as http:
        answer = http.post(url, headers=world.headers(), json=call("read_note", {"name": "watched-note"}))
    assert answer.status_code == 200
    assert "read_note watched-note" in world.watched.seen.calls  # type: ignore[attr-defined]
    said = [e for e in events(world) if e.get("target") == "watched" and e["stage"] == "Forwarded"]
    assert "would be denied" in said[-1]["decision"]["observed"]


def test_an_observing_target_still_wants_to_know_who_and_what(world: World) -> None:
    url = f"{world.base}/mcp/watched"
    seen = world.watched.seen.requests  # type: ignore[attr-defined]
    before = len(seen)
    with world.client() as http:
        assert http.post(url, headers=world.headers("nonsense"), json=call("read_note")).status_code == 401
        duplicate = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}'
        assert http.post(url, headers=world.headers(), content=duplicate).status_code == 400
    assert len(seen) == before


def test_a_reload_switches_and_a_broken_one_changes_nothing(world: World) -> None:
    assert world.gateway is not None
    policy = world.policies / "orders.yaml"
    with world.client() as http:
        url = f"{world.base}/shop/orders/7"
        assert http.get(url, headers=headers(world)).status_code == 200
        policy.write_text(HTTP_POLICY.replace("effect: allow", "effect: alow"))
        world.gateway.process.send_signal(signal.SIGHUP)
        world.gateway.wait_for("policies not reloaded")
        assert http.get(url, headers=headers(world)).status_code == 200
        policy.write_text(
            HTTP_POLICY.replace(
                'match: {verbs: [get], paths: ["/api/orders/*"]}', 'match: {verbs: [get], paths: ["/none"]}'
            )
        )
        world.gateway.process.send_signal(signal.SIGHUP)
        world.gateway.wait_for("policies reloaded")
        assert http.get(url, headers=headers(world)).status_code == 403
        policy.write_text(HTTP_POLICY)
        world.gateway.process.send_signal(signal.SIGHUP)
        world.gateway.wait_for("policies reloaded")
        assert http.get(url, headers=headers(world)).status_code == 200
    reloads = [sorted(e["detail"]) for e in events(world) if e["stage"] == "Reloaded"]
    assert reloads == [["from", "refused"], ["from", "to"], ["from", "to"]]
