"""Who stands in for whom, as the gateway's own methods count it: by its clock, for one person, never for who asks."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.approvals import term
from tests.fakes.court import Court, court

from holdpoint.admin.errors import AdminError
from holdpoint.policy.delegations import Delegation, Delegations

pytestmark = pytest.mark.threat("T60")
OF_SRE = term(reviewers=frozenset({"group:sre"}))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Court]:
    async with court(tmp_path, key=False) as made:
        yield made


def lend(room: Court, name: str, *, to: str = "dora@example", seconds: float = 60.0) -> None:
    start = room.clock.now()
    lent = Delegation(name, frozenset({f"person:{to}"}), start, start + seconds, "away")
    services = cast("Any", room.methods.services)
    services.policies = SimpleNamespace(delegations=Delegations((lent,)))


async def test_deputy_approves_while_the_delegation_is_in_force(room: Court) -> None:
    lend(room, "group:sre")
    assert await room.decide(await room.hold(OF_SRE), "dora") == "approved"


async def test_deputy_is_nobody_afterwards_without_a_reload(room: Court) -> None:
    lend(room, "group:sre")
    held = await room.hold(OF_SRE)
    room.clock.advance(61)
    with pytest.raises(AdminError) as refused:
        await room.decide(held, "dora")
    assert refused.value.code == "not_found"


async def test_deputy_of_the_requester_approves_nothing_in_that_name(room: Court) -> None:
    lend(room, "person:alice@example")
    held = await room.hold(term(reviewers=frozenset({"person:alice@example"})))
    with pytest.raises(AdminError) as refused:
        await room.decide(held, "dora")
    assert refused.value.code in ("not_allowed", "not_found")
    assert await room.state(held) == "pending"


async def test_requester_who_was_lent_a_say_may_not_use_it_for_himself(room: Court) -> None:
    lend(room, "group:sre", to="alice@example")
    held = await room.hold(OF_SRE)
    with pytest.raises(AdminError) as refused:
        await room.decide(held, "alice")
    assert refused.value.code == "not_allowed"
    assert await room.state(held) == "pending"
