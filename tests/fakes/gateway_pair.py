"""Two gateways on one PostgreSQL store: the same policies, issuer, upstream and digest key; all else of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.fakes.processes import GATEWAY, MITMDUMP, NO_AUTHORITIES, Program, free_port
from tests.fakes.world import World, call

from holdpoint.admin.client import AdminClient


@dataclass
class Gateway:
    """One of the two."""

    world: World
    name: str
    env: dict[str, str]
    digest_key: str = "shared/digest.key"
    """The key that the two have in common, relative to the settings."""

    def __post_init__(self) -> None:
        self.var = self.world.policies / self.name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{self.world.ROUTE}"
        self.program: Program | None = None
        text = self.world.settings_file.read_text()
        for port, mine in ((self.world.reverse, self.port), (self.world.forward, free_port())):
            text = text.replace(f'"127.0.0.1:{port}"', f'"127.0.0.1:{mine}"')
        text = text.replace(f'"127.0.0.1:{self.world.console}"', f'"127.0.0.1:{free_port()}"')
        text = text.replace("store: {path: var/holdpoint.sqlite}", "store: {postgres: {url: {env: STORE_URL}}}")
        text = text.replace("var/", f"{self.name}/").replace(f"{self.name}/keys/digest.key", self.digest_key)
        self.settings_file = self.world.policies / f"{self.name}.yaml"
        self.settings_file.write_text(text)

    def start(self) -> None:
        """Start it and wait until it serves."""
        command = [str(MITMDUMP), "-s", str(GATEWAY), "--set", f"holdpoint_config={self.settings_file}"]
        env = {**self.world.SECRETS, "HOME": str(self.world.folder), **self.env}
        self.program = Program(command, env=env)
        self.program.wait_for("holdpoint: serving")

    def stop(self, how: int | None = None) -> None:
        """End it, if it runs."""
        program, self.program = self.program, None
        if program is not None:
            program.stop() if how is None else program.stop(how)

    @property
    def recordings(self) -> Path:
        """Folder of its audit log."""
        return self.var / "recordings"

    @property
    def admin(self) -> AdminClient:
        """A client of its admin socket."""
        return AdminClient(self.var / "run" / "admin.sock")

    def ask(self, tool: str, name: str, *, timeout: float = 60) -> httpx.Response:
        """Call a tool through it."""
        with httpx.Client(verify=NO_AUTHORITIES, trust_env=False, timeout=timeout) as http:
            return http.post(self.url, headers=self.world.headers(), json=call(tool, {"name": name}))

    async def waiting_for(self, name: str) -> dict[str, Any]:
        """The pending request with this name among its arguments, as soon as this gateway shows it."""
        version = -1
        while True:
            version = (await self.admin.call("approvals.wait_change", {"since": version}))["version"]
            params = {"id_token": self.world.id_token(), "state": ["pending"]}
            for request in (await self.admin.call("approvals.list", params))["requests"]:
                if name in str(request["preview"]):
                    return request

    async def decide(self, request: dict[str, Any], verdict: str = "approve") -> dict[str, Any]:
        """Decide through it."""
        read = {"id": request["id"], "expect": request["intent"], "preview": request["preview_digest"]}
        said = {**read, "verdict": verdict, "comment": "", "id_token": self.world.id_token()}
        return await self.admin.call("approvals.decide", said)
