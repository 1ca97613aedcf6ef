"""Who is suspended: by which names, until when, and through what fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.approvals import principal, reviewer

from holdpoint.clock import ManualClock
from holdpoint.domain.access import Principal
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.suspension import MAX_WHO, Suspension, objection
from holdpoint.stages.suspensions import Suspensions
from holdpoint.store.protocol import Change, StoreUnavailable
from holdpoint.store.sqlite import SqliteStore

pytestmark = pytest.mark.threat("T86")

ALICE = principal(agent="robot-1")
SERVER = Principal("holdpoint", "mcp-server:ops", "workload")
THROUGH = replace(ALICE, subject="other", person=None, actor=None, legs=(ALICE, SERVER), call="ex-1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    it = SqliteStore(tmp_path / "store.db", clock)
    await it.open()
    yield it
    await it.close()


def suspension(who: str, *, at: float = 1_800_000_000.0, until: float = 0.0, reason: str = "stolen") -> Suspension:
    return Suspension(who, reason, "root", at, until)


@pytest.mark.parametrize(
    ("who", "caller"),
    [
        pytest.param("alice@example", ALICE, id="person"),
        pytest.param("ALICE@Example", ALICE, id="person-in-another-case"),
        pytest.param("person:alice@example", ALICE, id="person-alone"),
        pytest.param("https://idp.example#alice@example", ALICE, id="id"),
        pytest.param("robot-1", ALICE, id="agent"),
        pytest.param("https://idp.example#robot-1", ALICE, id="agent-of-one-issuer"),
        pytest.param("older", ALICE, id="an-agent-before-it"),
        pytest.param("alice@example", THROUGH, id="person-through-a-call"),
        pytest.param("robot-1", THROUGH, id="agent-through-a-call"),
        pytest.param("mcp-server:ops", THROUGH, id="server-of-a-call"),
    ],
)
async def test_each_name_of_a_caller_turns_them_away(store: SqliteStore, who: str, caller: Principal) -> None:
    suspensions = Suspensions(store, ManualClock())
    suspensions.refuse(caller)
    await suspensions.add(suspension(who))
    with pytest.raises(Refusal, match="access is suspended: stolen") as refused:
        suspensions.refuse(caller)
    assert refused.value.kind is RefusalKind.DENIED
    assert "root" not in refused.value.public


@pytest.mark.parametrize(
    "who",
    [
        pytest.param("alice", id="part-of-a-name"),
        pytest.param("bob@example", id="somebody-else"),
        pytest.param("person:robot-1", id="an-agent-is-no-person"),
        pytest.param("https://other.example#alice@example", id="another-issuer"),
        pytest.param("Robot-1", id="an-agent-in-another-case"),
    ],
)
async def test_another_name_turns_nobody_away(store: SqliteStore, who: str) -> None:
    suspensions = Suspensions(store, ManualClock())
    await suspensions.add(suspension(who))
    suspensions.refuse(ALICE)


async def test_owner_is_not_turned_away_with_what_others_own_too(store: SqliteStore) -> None:
    suspensions = Suspensions(store, ManualClock())
    await suspensions.add(suspension("owner@example"))
    suspensions.refuse(principal(None, owners=frozenset({"owner@example", "another@example"})))


async def test_reviewer_who_is_suspended_is_found(store: SqliteStore) -> None:
    suspensions = Suspensions(store, ManualClock())
    await suspensions.add(suspension("bob@example"))
    assert suspensions.of_reviewer(reviewer("bob@example")) is not None
    assert suspensions.of_reviewer(reviewer("carol@example")) is None


@pytest.mark.threat("T87")
@pytest.mark.parametrize(
    "who",
    [
        "",
        "  ",
        "person:",
        " alice@example",
        "alice@example\n",
        "al\u202eice",
        "group:sre",
        "*",
        "person:*@example",
        "https://idp.example#",
        "#alice",
        "x" * (MAX_WHO + 1),
    ],
)
def test_name_that_nobody_can_have_is_refused(who: str) -> None:
    assert objection(who)


@pytest.mark.parametrize("who", ["alice@example", "system:serviceaccount:ci:deploy", "spiffe://corp/ns/ci", "CN=Zoë B"])
def test_name_that_somebody_may_have_is_taken(who: str) -> None:
    assert objection(who) == ""


async def test_it_ends_by_the_gateways_clock_and_is_told_once(store: SqliteStore, clock: ManualClock) -> None:
    over: list[Suspension] = []
    suspensions = Suspensions(store, clock)

    async def told(one: Suspension) -> None:
        over.append(one)

    suspensions.on_over = told
    await suspensions.add(suspension("alice@example", until=clock.now() + 60))
    clock.advance(59)
    await suspensions.tick()
    assert suspensions.of(ALICE) is not None
    clock.advance(1)
    assert suspensions.of(ALICE) is None
    await suspensions.tick()
    await suspensions.tick()
    assert [s.who for s in over] == ["alice@example"]
    assert await store.suspensions() == ()


async def test_timer_ends_it_by_itself(store: SqliteStore, clock: ManualClock) -> None:
    ended = asyncio.Event()
    suspensions = Suspensions(store, clock)

    async def told(_one: Suspension) -> None:
        ended.set()

    suspensions.on_over = told
    suspensions.start()
    await suspensions.add(suspension("alice@example", until=clock.now()))
    async with asyncio.timeout(5):
        await ended.wait()
    await suspensions.close()
    assert len(suspensions) == 0


async def test_one_that_follows_another_of_its_name_takes_its_place(store: SqliteStore, clock: ManualClock) -> None:
    suspensions = Suspensions(store, clock)
    first = suspension("alice@example", until=clock.now() + 5)
    await suspensions.add(first)
    await suspensions.add(suspension("alice@example", at=first.at + 1))
    clock.advance(10)
    await suspensions.tick()
    assert suspensions.of(ALICE) is not None
    assert not await suspensions.remove(first)
    assert len(await store.suspensions()) == 1


async def test_what_cannot_be_stored_counts_all_the_same(store: SqliteStore, clock: ManualClock) -> None:
    suspensions = Suspensions(store, clock)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await suspensions.add(suspension("alice@example"))
    with pytest.raises(Refusal):
        suspensions.refuse(ALICE)
    with pytest.raises(StoreUnavailable):
        await suspensions.remove(suspension("alice@example"))
    with pytest.raises(Refusal):
        suspensions.refuse(ALICE)


async def test_what_another_gateway_did_counts_here_after_a_look(store: SqliteStore, clock: ManualClock) -> None:
    begun: list[str] = []
    here, there = Suspensions(store, clock), Suspensions(store, clock)

    async def told(one: Suspension) -> None:
        begun.append(one.who)

    here.on_begun = told
    await there.add(suspension("alice@example"))
    await here.refresh()
    await here.refresh()
    assert begun == ["alice@example"]
    assert here.of(ALICE) is not None
    await there.remove(suspension("alice@example"))
    await here.refresh()
    assert here.of(ALICE) is None


class Counting:
    """A store that counts how often it is read."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.reads = 0
        self.read = asyncio.Event()

    async def suspensions(self) -> tuple[Suspension, ...]:
        self.reads += 1
        self.read.set()
        return await self.store.suspensions()


async def test_who_looks_now_and_then_does_not_look_all_the_time(store: SqliteStore, clock: ManualClock) -> None:
    counting = Counting(store)
    suspensions = Suspensions(counting, clock, look_every=3_600.0)  # type: ignore[arg-type]  # it is only read
    suspensions.start()
    suspensions.heard(Change("suspensions", "alice@example"))
    await counting.read.wait()
    for _ in range(50):
        await store.note("gives the loop and the store time")
    # What was heard, and one look because of it.
    assert counting.reads <= 2
    await suspensions.close()


async def test_a_look_forgets_nothing_that_is_not_stored_yet(store: SqliteStore, clock: ManualClock) -> None:
    suspensions = Suspensions(store, clock)
    looking = asyncio.ensure_future(suspensions.refresh())
    adding = asyncio.ensure_future(suspensions.add(suspension("alice@example")))
    await asyncio.gather(looking, adding)
    assert suspensions.of(ALICE) is not None


async def test_name_is_found_again_in_another_spelling(store: SqliteStore, clock: ManualClock) -> None:
    suspensions = Suspensions(store, clock)
    await suspensions.add(suspension("person:Alice@Example"))
    assert [s.who for s in suspensions.named("ALICE@example")] == ["person:Alice@Example"]
    assert suspensions.named("bob@example") == ()


def test_those_it_concerns_read_until_when_and_why() -> None:
    said = suspension("alice@example", until=1_800_003_600.0).public
    assert said == "access is suspended until 2027-01-15 09:00:00Z: stolen"
    assert suspension("u-1", reason="").public == "access is suspended"
