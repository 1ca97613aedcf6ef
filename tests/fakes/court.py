"""Approvals with everything that makes them evidence, in process: issuer, broker, admin methods, audit log, keys."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.fakes.approvals import ask, term
from tests.fakes.gateway_yaml import ENVIRON, write_gateway
from tests.fakes.issuer import FakeIssuer
from tests.fakes.policies import MASKS, policy_text

from holdpoint.admin.errors import AdminError
from holdpoint.approvals.broker import Broker
from holdpoint.approvals.evidence import sign
from holdpoint.approvals.recorded import ask_detail
from holdpoint.clock import ManualClock
from holdpoint.domain.approval import ApprovalRequest, preview_digest
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.decision import RequireApproval
from holdpoint.domain.statement import Statement, moment
from holdpoint.identity.verify import Verifier
from holdpoint.keys import Signer, open_audit_keys, open_console_key
from holdpoint.recording.audit import AuditLog
from holdpoint.settings import Settings
from holdpoint.settings_file import load_settings
from holdpoint.stages.admin_methods import AdminMethods
from holdpoint.stages.policies import load_policies
from holdpoint.stages.suspensions import Suspensions
from holdpoint.store.sqlite import SqliteStore

GROUPS = {"rita": ["sre"], "sam": ["sre", "dba"], "dora": ["dba"]}
KEY = "  client_id: holdpoint-console\n  signing: {id: console-1, file: var/keys/console.pem, create: true}\n"


@dataclass
class Court:
    """Everything at hand. Persons are `rita`, `sam` and `dora`; `alice@example` asks."""

    settings: Settings
    clock: ManualClock
    issuer: FakeIssuer
    verifier: Verifier
    broker: Broker
    methods: AdminMethods
    audit: AuditLog
    signer: Signer | None
    refused: list[str] = field(default_factory=list)

    async def hold(self, *terms: RequireApproval, what: str = "deploy") -> ApprovalRequest:
        """Hold a request and write it down, as the approval stage does."""
        held = await self.broker.request(ask(*terms or (term(),), what=what))
        detail = {"approval": held.id, "intent": held.ask.intent, **ask_detail(held)}
        await self.audit.append(AuditEvent(AuditStage.HELD, self.clock.now(), exchange="x-1", detail=detail))
        return held

    async def forward(self, request_id: str, **changes: Any) -> None:
        """Write down that it was sent, as dispatch does."""
        request = await self.broker.get(request_id)
        detail = {"approval": request.id, "grant": request.grant, "intent": request.ask.intent, "wire": "sha256:w"}
        await self.audit.append(
            AuditEvent(AuditStage.FORWARDED, self.clock.now(), exchange="x-1", detail=detail | changes)
        )

    def login(self, who: str = "rita", **claims: Any) -> str:
        """The ID token of a login at the console."""
        return self.issuer.mint_id_token(self._claims(who) | claims)

    def statement(self, held: ApprovalRequest, who: str = "rita", **changes: Any) -> Statement:
        """What this reviewer says of this request now."""
        said = {
            "request": held.id,
            "intent": held.ask.intent,
            "preview": preview_digest(held),
            "verdict": "approve",
            "comment": "",
            "issuer": self.issuer.url,
            "subject": f"u-{who}",
            "at": moment(self.clock.now()),
        }
        return Statement(**(said | changes))

    def signed(self, statement: Statement) -> dict[str, Any]:
        """The statement with the console's signature."""
        assert self.signer is not None
        signature = sign(statement, self.signer)
        return {"statement": statement.as_json(), "key": self.signer.key_id, "signature": signature}

    def confirmed(self, statement: Statement, who: str = "rita", **claims: Any) -> dict[str, Any]:
        """The statement with a token of its reviewer's issuer for it."""
        token = self.issuer.mint_id_token(self._claims(who) | {"nonce": statement.digest} | claims)
        return {"statement": statement.as_json(), "confirm_token": token}

    async def decide(self, request: ApprovalRequest, who: str = "rita", **params: Any) -> str:
        """Decide over the admin method; return the state afterwards."""
        good = {
            "id": request.id,
            "verdict": "approve",
            "comment": "",
            "expect": request.ask.intent,
            "preview": preview_digest(request),
            "id_token": self.login(who),
        }
        try:
            answer = await self.methods.table()["approvals.decide"](good | params)
        except AdminError as error:
            self.refused.append(error.message)
            raise
        assert isinstance(answer, dict)
        return str(answer["state"])

    async def approve(self, request: ApprovalRequest, who: str = "rita", **changes: Any) -> str:
        """Approve with everything that may be asked for."""
        said = self.statement(request, who, **changes)
        return await self.decide(request, who, comment=said.comment, **self.signed(said) | self.confirmed(said, who))

    async def state(self, request: ApprovalRequest) -> str:
        return (await self.broker.get(request.id)).state.value

    def events(self) -> list[dict[str, Any]]:
        self.audit.flush()
        found = []
        for file in sorted((self.settings.recordings.folder / "audit").glob("*.jsonl")):
            found += [json.loads(line) for line in file.read_bytes().splitlines()]
        return [line["event"] for line in found if "event" in line]

    def _claims(self, who: str) -> dict[str, Any]:
        person = {"sub": f"u-{who}", "email": f"{who}@example", "name": who.title(), "groups": GROUPS.get(who, [])}
        return person | {"aud": "holdpoint-console"}


@asynccontextmanager
async def court(
    folder: Path, *, key: bool = True, reviewers: str = "reviewers: {issuers: [corp]}\n"
) -> AsyncIterator[Court]:
    """A court in a folder. `reviewers` is that section of the settings; without `key` nothing is signed."""
    clock = ManualClock()
    with FakeIssuer(clock=clock, alg="ES256") as issuer:
        file = write_gateway(
            folder,
            ("url: https://idp.example.com/\n    algorithms: [RS256]", f"url: {issuer.url}\n    algorithms: [ES256]"),
            ("  client_id: holdpoint-console\n", KEY if key else "  client_id: holdpoint-console\n"),
            ("reviewers: {issuers: [corp]}\n", reviewers),
            ("      - {id: audit-1, file: var/keys/audit-1.pub}\n", ""),
        )
        rule = policy_text("name: none, match: {any: true}, effect: deny", targets="web")
        (folder / "base.yaml").write_text(f"{MASKS}---\n{rule}")
        settings = load_settings(file, ENVIRON, check_machine=False)
        signer = open_console_key(settings.console.signing[0]) if settings.console and key else None
        keys = open_audit_keys(settings.keys)
        audit = AuditLog(settings.recordings.folder, keys.signer, clock, ring=keys.ring)
        audit.start()
        verifier = Verifier(settings.issuers, clock)
        methods = AdminMethods(settings, clock, _no_reload, audit)
        store = SqliteStore(settings.store, clock)
        await store.open()
        broker = Broker(store, clock, methods.on_broker_event, reachable=lambda: True, confirm=True)
        await broker.start()
        suspensions = Suspensions(store, clock)
        methods.attach(
            cast(
                "Any",
                SimpleNamespace(
                    broker=broker,
                    store=store,
                    verifier=verifier,
                    suspensions=suspensions,
                    policies=load_policies(settings, b"k" * 32),
                    settings=settings,
                    clock=clock,
                    append=audit.append,
                ),
            )
        )
        try:
            yield Court(settings, clock, issuer, verifier, broker, methods, audit, signer)
        finally:
            await broker.close()
            await store.close()
            await verifier.close()
            audit.close()


async def _no_reload() -> str:
    return ""
