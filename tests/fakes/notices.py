"""A notifier on a real store, with whatever reaches people."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.notice_receivers import SECRET

from holdpoint.approvals.notify import Notifier
from holdpoint.approvals.notify_http import Line
from holdpoint.approvals.notify_outbox import Outbox, Sender
from holdpoint.approvals.notify_webhook import Webhook, signers
from holdpoint.clock import ManualClock
from holdpoint.domain.audit import AuditEvent
from holdpoint.domain.notice import OFFERED, USUAL, Audience, Notice, NoticeEvent
from holdpoint.secrets import Secret
from holdpoint.settings import Sink
from holdpoint.store.sqlite import SqliteStore

GATEWAY = "https://gateway.example.com"
CONSOLE = "https://console.example.com"


def link(approval: str) -> str:
    return f"{CONSOLE}/requests/{approval}"


def sink(
    name: str = "hook",
    audience: Audience = Audience.REVIEWERS,
    *events: NoticeEvent,
    targets: frozenset[str] = frozenset(),
    everything: bool = False,
) -> Sink:
    wanted = OFFERED[audience] if everything else frozenset(events) or USUAL[audience]
    return Sink(name, "webhook", audience, wanted, targets)


def webhook(url: str, *secrets: str, ca_file: Path | None = None) -> Webhook:
    keys = [Secret(s) for s in secrets or (SECRET,)]
    return Webhook(Line(url, ca_file), signers(keys, where="sink `hook`"), GATEWAY)


class Kept:
    """Somebody who is told, in memory; `fail` is raised instead."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Notice]] = []
        self.fail: list[Exception] = []

    @property
    def events(self) -> list[str]:
        return [notice.event.value for _, notice in self.sent]

    async def send(self, notice_id: str, notice: Notice, now: float) -> None:
        _ = now
        if self.fail:
            raise self.fail.pop(0)
        self.sent.append((notice_id, notice))

    async def close(self) -> None:
        return


class Office:
    """A notifier whose turns a test takes by hand."""

    def __init__(self, store: SqliteStore, clock: ManualClock, sinks: tuple[Sink, ...], senders: Mapping[str, Sender]):
        self.store = store
        self.clock = clock
        self.audited: list[AuditEvent] = []
        self.healthy = True
        self.notifier = Notifier(
            sinks, senders, store, clock, link=link, audit=self.audited.append, healthy=lambda: self.healthy
        )

    @property
    def outbox(self) -> Outbox:
        return self.notifier.outbox

    async def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and everything be done that is due."""
        self.clock.advance(seconds)
        for _ in range(50):
            await self.notifier.turn()
            if not self.outbox._tasks:
                return
            await self.outbox.idle()

    def outcomes(self) -> list[str]:
        return [str(e.detail["outcome"]) for e in self.audited]


@asynccontextmanager
async def office(
    folder: Path, sinks: tuple[Sink, ...], senders: Mapping[str, Sender], *, start: Callable[[], float] = time.time
) -> AsyncIterator[Office]:
    """Receivers verify signatures by the real time, so this clock starts with it."""
    clock = ManualClock(start())
    store = SqliteStore(folder / "store.db", clock)
    await store.open()
    it = Office(store, clock, sinks, senders)
    it.outbox._timeout = 0.5
    await it.notifier._offer_again()
    try:
        yield it
    finally:
        await it.notifier.close()
        await store.close()
