"""Silence counts from the moment that reviewers were told of that very request, and not before."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes.approvals import House, ask, house, term
from tests.fakes.notices import Kept, Office, sink

from holdpoint.approvals.events import BrokerEvent
from holdpoint.domain.approval import ApprovalState


class Court:
    """A broker and a notifier that know of one another, as the gateway's services do."""

    def __init__(self, home: House, office: Office, told: Kept) -> None:
        self.home, self.office, self.told = home, office, told

    async def state(self, approval: str) -> ApprovalState:
        return (await self.home.broker.get(approval)).state

    async def later(self, seconds: float) -> None:
        await self.home.later(seconds)
        await self.office.turn()


@pytest.fixture
async def court(tmp_path: Path) -> AsyncIterator[Court]:
    offices: list[Office] = []
    async with house(tmp_path / "s.db", told=lambda r: bool(offices) and offices[0].notifier.reached(r)) as home:
        told = Kept()
        office = Office(home.store, home.clock, (sink(),), {"hook": told})
        offices.append(office)
        office.notifier.on_reached(home.broker.note_told)
        heard = home.told.events

        class Both(list[BrokerEvent]):
            def append(self, event: BrokerEvent) -> None:
                heard.append(event)
                office.notifier.on_event(event)

        home.told.events = Both()
        yield Court(home, office, told)
        await office.notifier.close()


async def test_silence_counts_from_the_delivery_of_the_notice(court: Court) -> None:
    court.told.fail = [RuntimeError("away")] * 3
    began = court.home.clock.now()
    held = await court.home.broker.request(ask(term(auto=100)))
    await court.office.turn()
    while not court.told.sent:
        await court.later(10)
    assert court.home.clock.now() - began > 110
    await court.later(99)
    assert await court.state(held.id) is ApprovalState.PENDING, "nobody knew of it for most of that time"
    await court.later(2)
    assert await court.state(held.id) is ApprovalState.APPROVED


async def test_a_request_is_approved_by_the_silence_of_those_who_were_told(court: Court) -> None:
    held = await court.home.broker.request(ask(term(auto=30)))
    await court.later(20)
    assert court.told.events == ["held"]
    await court.later(20)
    assert await court.state(held.id) is ApprovalState.PENDING, "they were told twenty seconds ago"
    await court.later(11)
    assert await court.state(held.id) is ApprovalState.APPROVED


async def test_one_request_that_was_told_of_says_nothing_about_another(court: Court) -> None:
    first = await court.home.broker.request(ask(term(auto=30), what="first"))
    await court.office.turn()
    court.told.fail = [RuntimeError("away")] * 50
    second = await court.home.broker.request(ask(term(auto=30), what="second"))
    for _ in range(5):
        await court.later(20)
    assert await court.state(first.id) is ApprovalState.APPROVED
    assert await court.state(second.id) is ApprovalState.PENDING
