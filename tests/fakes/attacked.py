"""A world to attack: an MCP target and plain HTTP targets, with upstreams that answer what a test tells them to."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.fakes.raw_upstream import RawUpstream
from tests.fakes.world import World

from holdpoint.admin.client import AdminClient

SHOP_KEY = "Sh0p/key+of-the-gateway=="
"""The gateway's own credential at the plain service. Invented."""
POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: shop}
targets: [shop, bare]
rules:
  - name: read
    effect: allow
    match: {verbs: [get, head], paths: ["/api/*"]}
  - name: write
    effect: hold
    match: {verbs: [post, delete], paths: ["/api/*"]}
    approval: {reviewers: ["group:reviewers"], timeout: 1m}
"""
MORE = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: more}
targets: [demo]
rules:
"""
TARGET = """\
  - name: {name}
    protocol: http
    url: {url}
    routes: [/{name}]
    credential: {{kind: static, from: {{env: SHOP_KEY}}, header: X-Api-Key, prefix: ""}}
{lines}
"""


class Attacked(World):
    """A world whose upstreams are raw: `mcp` behind target `demo`, `shop` behind `shop`, and behind `bare` unmasked."""

    mcp: RawUpstream
    shop: RawUpstream

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A GET at the plain service; the path starts with the target."""
        return self.send("GET", path, **headers)

    def send(self, method: str, path: str, json_body: Any = None, **headers: str) -> httpx.Response:
        """A request to the plain service; the path starts with the target."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client() as http:
            return http.request(
                method,
                self.base + path,
                headers={"authorization": f"Bearer {self.token()}", **named},
                **({} if json_body is None else {"json": json_body}),
            )

    def post(self, message: dict[str, Any], **headers: str) -> httpx.Response:
        """A message to the MCP target."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client() as http:
            return http.post(self.url, headers=self.headers(**named), json=message)

    def pending(self) -> list[dict[str, Any]]:
        """What waits for a reviewer."""
        found = self.admin().call_sync("approvals.list", {"id_token": self.id_token(), "state": ["pending"]})
        return found["requests"]

    def decide(self, held: dict[str, Any], verdict: str = "approve", admin: AdminClient | None = None) -> Any:
        """Decide as a reviewer who read it, at this gateway or at another one."""
        said = {
            "id": held["id"],
            "expect": held["intent"],
            "preview": held["preview_digest"],
            "verdict": verdict,
            "id_token": self.id_token(),
        }
        return (admin or self.admin()).call_sync("approvals.decide", said)

    @contextmanager
    def held(self, ask: Callable[[], httpx.Response]) -> Iterator[tuple[dict[str, Any], Any]]:
        """Ask in a thread, wait until it is held; yields the request and the future of its answer."""
        before = {r["id"] for r in self.pending()}
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask)
            deadline = time.monotonic() + 20
            while not (new := [r for r in self.pending() if r["id"] not in before]):
                assert not answer.done(), answer.result().text
                assert time.monotonic() < deadline
            yield new[0], answer

    def written(self) -> bytes:
        """Everything the gateway ever wrote: files and log."""
        assert self.gateway is not None
        files = [p for p in sorted(self.var.rglob("*")) if p.is_file() and not p.is_relative_to(self.var / "keys")]
        return b"\n".join([self.gateway.output.encode(), *(p.read_bytes() for p in files)])


@contextmanager
def attacked(
    folder: Path,
    *start: str,
    hold_wait: str = "20s",
    rules: str = "",
    roles: str = "{}",
    store: str = "{path: var/holdpoint.sqlite}",
    **env: str,
) -> Iterator[Attacked]:
    """Bring one up. `rules`: more of them for the MCP target, indented by two; `roles`: who audits, a flow mapping.

    `store` is another flow mapping; `env` is what the gateway's environment gets on top.
    """
    with RawUpstream() as mcp, RawUpstream() as shop:
        world = Attacked(folder, env={"SHOP_KEY": SHOP_KEY, **env}, hold_wait=hold_wait)
        world.mcp, world.shop = mcp, shop
        # Two names of one upstream: an address belongs to one target.
        world.more_targets = "".join(
            TARGET.format(name=name, url=f"http://{host}:{shop.port}/api", lines=lines)
            for name, host, lines in (("shop", "127.0.0.1", "    masks: [credentials]"), ("bare", "localhost", ""))
        )
        (world.policies / "shop.yaml").write_text(POLICY)
        files = "demo.yaml, shop.yaml,"
        if rules:
            (world.policies / "more.yaml").write_text(MORE + rules)
            # The demo denies whatever servers ask; here the rules above say.
            demo = world.policies / "demo.yaml"
            demo.write_text(demo.read_text().replace('server_requests: ["*"]', "server_requests: [sampling/*]"))
            files += " more.yaml,"
        world.write_settings(
            **{
                world.notes.url: mcp.url,
                "policies: [demo.yaml,": f"policies: [{files}",
                "store: {path: var/holdpoint.sqlite}": f"store: {store}",
                "max_age: 12h}": f"max_age: 12h, roles: {roles}}}",
            }
        )
        with world:
            world.start(*start)
            yield world


def as_json(value: Any) -> bytes:
    """Bytes of a JSON body."""
    return json.dumps(value).encode()
