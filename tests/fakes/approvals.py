"""Requests, terms and reviewers for tests of approvals, and a broker on a real store."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from holdpoint.approvals.broker import Broker
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.clock import ManualClock
from holdpoint.domain.access import AccessRequest, Action, Actor, McpTool, Principal, Protocol
from holdpoint.domain.approval import Ask, Reviewer
from holdpoint.domain.canonical import digest
from holdpoint.domain.decision import BreakGlass, RequireApproval, RuleRef, Scope
from holdpoint.store.sqlite import SqliteStore

ISSUER = "https://idp.example"


def term(
    *,
    rule: str = "writes",
    reviewers: frozenset[str] = frozenset({"group:sre"}),
    required: int = 1,
    timeout: float = 600.0,
    scope: Scope = Scope.REQUEST,
    duration: float = 0.0,
    auto: float | None = None,
    **more,
) -> RequireApproval:
    return RequireApproval(
        RuleRef("prod", rule, "prod.yaml:7"),
        reviewers,
        required=required,
        timeout=timeout,
        scope=scope,
        duration=duration,
        auto_approve_after=auto,
        reason="it writes",
        **more,
    )


def principal(
    person: str | None = "alice@example", *, agent: str = "", owners: frozenset[str] = frozenset()
) -> Principal:
    return Principal(
        issuer=ISSUER,
        subject=person or "robot",
        kind="human" if person else "workload",
        person=person,
        name="Alice",
        groups=frozenset({"dev", "all"}),
        actor=Actor(agent, ISSUER, ("older",)) if agent else None,
        owners=owners,
        claims={"team": "a", "level": 3},
    )


def ask(
    *terms: RequireApproval,
    who: Principal | None = None,
    what: str = "deploy",
    session: str = "",
    exchange: str = "x-1",
    **more,
) -> Ask:
    arguments = {"name": what, "count": 2**70, "ratio": 0.5, "nested": [{"a": None, "b": [True, "ü \u2028"]}]}
    return Ask(
        access=AccessRequest(
            principal=who or principal(),
            target="shop",
            action=Action(Protocol.MCP, "tools/call"),
            resource=McpTool(what),
            arguments=arguments,
            unverified={"client": "cli"},
            at=1_800_000_000.25,
        ),
        terms=terms or (term(),),
        intent=digest(["tools/call", what]),
        preview={"arguments": {"name": what}},
        bundle="sha256:aa",
        exchange=exchange,
        session=session,
        **more,
    )


def reviewer(person: str = "bob@example", *groups: str) -> Reviewer:
    return Reviewer(ISSUER, person, person, frozenset(groups or ("sre",)), name=person.partition("@")[0].title())


def glass(*who: str, duration: float = 900.0) -> BreakGlass:
    return BreakGlass(frozenset(who or ("person:alice@example",)), duration)


class Told:
    """Collects what the broker tells."""

    def __init__(self) -> None:
        self.events: list[BrokerEvent] = []

    def __call__(self, event: BrokerEvent) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> list[BrokerEventKind]:
        return [e.kind for e in self.events]


class House:
    """A broker, its store and its clock; `restart` ends the process's part and starts it anew on the same file."""

    def __init__(self, path: Path, reachable: Callable[[], bool] = lambda: True, **more) -> None:
        self.path = path
        self.more = {"each": 5_000, **more}
        self.clock = ManualClock()
        self.told = Told()
        self.reachable = reachable
        self.store = SqliteStore(path, self.clock)
        self.broker = Broker(self.store, self.clock, self.told, reachable=reachable, **self.more)

    async def open(self) -> None:
        await self.store.open()
        await self.broker.start()

    async def close(self) -> None:
        await self.broker.close()
        await self.store.close()

    async def restart(self) -> None:
        await self.close()
        self.store = SqliteStore(self.path, self.clock)
        self.broker = Broker(self.store, self.clock, self.told, reachable=self.reachable, **self.more)
        await self.open()

    async def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.broker.tick()


@asynccontextmanager
async def house(path: Path, reachable: Callable[[], bool] = lambda: True, **more) -> AsyncIterator[House]:
    it = House(path, reachable, **more)
    await it.open()
    try:
        yield it
    finally:
        await it.close()


def with_terms(asked: Ask, *terms: RequireApproval) -> Ask:
    return replace(asked, terms=terms)
