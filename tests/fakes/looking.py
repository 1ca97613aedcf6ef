"""What looks at answers, with real policies, seals, handles and store around it, and no proxy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes.gateway_yaml import ENVIRON, write_gateway
from tests.fakes.policies import ADA, MASKS, policy_text

from holdpoint.approvals.broker import Broker
from holdpoint.clock import ManualClock
from holdpoint.credentials.of_targets import Credentials
from holdpoint.domain.access import AccessRequest, Action, McpMethod, McpTool, Principal, Protocol, Resource
from holdpoint.domain.exchange import Decoded, Identified, Received
from holdpoint.identity.calls import Calls
from holdpoint.identity.verify import Verifier
from holdpoint.keys import open_audit_keys
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.sessions import Sessions
from holdpoint.recording.writer import Recorder
from holdpoint.settings import Target
from holdpoint.settings_file import load_settings
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.look import Look
from holdpoint.stages.noticing import open_notices
from holdpoint.stages.policies import load_policies
from holdpoint.stages.services import Services
from holdpoint.store.sqlite import SqliteStore

BOB = replace(ADA, subject="bob", person="bob@example.com", groups=frozenset[str]())
MODERN = "2026-07-28"
LEGACY = "2025-11-25"


class Lookout:
    """A gateway whose one MCP target is called `mcp`. Its store is open only in tests that open it."""

    def __init__(self, folder: Path, *rules: str, more_masks: str = "", cluster: bool = False) -> None:
        """Write settings and open them. `cluster`: the rules are for another target, `web`, a Kubernetes API."""
        (folder / "p.yaml").write_text(policy_text(*rules, targets="web" if cluster else "mcp"), encoding="utf-8")
        (folder / "m.yaml").write_text(MASKS + more_masks, encoding="utf-8")
        changes = (
            ("name: files", "name: mcp"),
            ("policies: [base.yaml]", "policies: [p.yaml, m.yaml]"),
            *((("protocol: http", "protocol: kubernetes"),) if cluster else ()),
        )
        settings = load_settings(write_gateway(folder, *changes), ENVIRON, check_machine=False)
        self.clock = ManualClock()
        self.target: Target = settings.target("mcp")
        self.store = SqliteStore(settings.store, self.clock)
        key = bytes(range(32))
        keys = open_audit_keys(replace(settings.keys, audit=settings.keys.audit[1:]))
        audit = AuditLog(settings.recordings.folder, keys.signer, self.clock, ring=keys.ring)

        notices, slack = open_notices(settings, self.store, self.clock, audit)

        async def ignored(*_: object) -> None:
            return

        self.services = Services(
            settings=settings,
            clock=self.clock,
            digest_key=key,
            policies=load_policies(settings, key),
            verifier=Verifier((), self.clock),
            credentials=Credentials(settings, ENVIRON, self.clock),
            calls=Calls(None, self.clock),
            audit=audit,
            recorder=Recorder(audit, self.clock),
            store=self.store,
            broker=Broker(self.store, self.clock, ignored),
            sessions=Sessions(900.0),
            notices=notices,
            slack=slack,
        )
        self.gateway = Gateway(self.clock)
        self.gateway.open(self.services)

    def call(
        self,
        verb: str = "tools/call",
        resource: Resource | None = None,
        *,
        who: Principal = ADA,
        version: str = LEGACY,
        request_id: str | int | None = 1,
        **more: Any,
    ) -> Decoded:
        """A request that was decoded."""
        received = Received("ex-1", "mcp", "routes", "127.0.0.1", self.clock.now(), "/")
        arguments = more.pop("arguments", {})
        members = more.pop("members", ())
        resource = resource or (McpTool("t") if verb == "tools/call" else McpMethod())
        intent = more.pop("intent", {"method": verb, "params": {"name": "t", "arguments": arguments}})
        access = AccessRequest(who, "mcp", Action(Protocol.MCP, verb), resource, arguments, members=members)
        return Decoded(
            Identified(received, who), access, intent, request_id=request_id, protocol_version=version, **more
        )

    def look(self, call: Decoded | None = None, *, target: Target | None = None, **of_exchange: Any) -> Look:
        """What looks at the answer to a call."""
        call = call or self.call()
        self.exchange = Exchange("ex-1", state=call, target=target or self.target, **of_exchange)
        return Look(self.gateway, self.exchange, target or self.target, call)


def answer(request_id: object = 1, /, **result: Any) -> dict[str, Any]:
    """A response of the server."""
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def question(method: str, request_id: object = 7, **params: Any) -> dict[str, Any]:
    """A request of the server's own."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def notice(method: str, **params: Any) -> dict[str, Any]:
    """A notification of the server."""
    return {"jsonrpc": "2.0", "method": method, "params": params}
