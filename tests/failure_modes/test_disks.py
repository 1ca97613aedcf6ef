"""Disks that are full, read-only or taken away: no record, no access; and it goes on when the disk is well again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from tests.fakes.audit_trail import trail, until_written
from tests.fakes.raw_upstream import RawUpstream
from tests.fakes.small_disk import SmallDisk
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e


@dataclass
class Place:
    """A gateway whose records and store are on small disks of their own."""

    world: World
    upstream: RawUpstream
    records: SmallDisk
    store: SmallDisk

    def ask(self, tool: str, name: str = "x") -> httpx.Response:
        arguments = {"name": name, "text": "y" * 20_000} if tool == "write_note" else {"name": name}
        with self.world.client() as http:
            return http.post(self.world.url, headers=self.world.headers(), json=call(tool, arguments))

    def start(self) -> None:
        self.world.start()

    def stop(self) -> None:
        assert self.world.gateway is not None
        self.world.gateway.stop()


def arrange(world: World, upstream: RawUpstream) -> None:
    """Point the world at the upstream, let nobody wait, put the store in a folder of its own."""
    text = {
        world.notes.url: upstream.url,
        "hold: {wait: 50s}": "hold: {wait: 0s}",
        "var/holdpoint.sqlite": "var/store/holdpoint.sqlite",
    }
    world.write_settings(**text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    world = World(tmp_path_factory.mktemp("world"))
    with (
        RawUpstream() as upstream,
        SmallDisk(world.var / "recordings", "8m") as records,
        SmallDisk(world.var / "store", "4m") as store,
    ):
        arrange(world, upstream)
        with world:
            world.start()
            yield Place(world, upstream, records, store)


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    if "place" in request.fixturenames:
        request.getfixturevalue("place").upstream.forget()


def kind(answer: httpx.Response) -> str:
    said = answer.json()
    data = said["error"]["data"] if "error" in said else said["result"].get("_meta", {}).get("holdpoint/refusal", {})
    return data.get("kind", "")


def until_served(place: Place) -> None:
    """Ask until the gateway serves again: it looks at the disk by itself, once a second."""
    deadline = time.monotonic() + 20
    while kind(answer := place.ask("read_note")):
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)  # the disk is looked at once a second
    assert "well" in answer.text


@pytest.mark.failure("F-disk-full")
def test_a_full_disk_of_records_lets_nothing_pass_and_heals(place: Place) -> None:
    assert "well" in place.ask("read_note").text
    written = len(trail(place.world.var / "recordings"))
    place.records.fill()
    for _ in range(10):
        place.ask("read_note")
    place.upstream.forget()
    # The few bytes that were left in the last block are used up: from here on nothing passes.
    refusals = [place.ask("read_note") for _ in range(5)]
    assert {kind(r) for r in refusals} == {"unavailable"}
    assert place.upstream.requests == []
    assert "free some space" in place.world.gateway.output
    place.records.free()
    until_served(place)
    outage = until_written(place.world.var / "recordings", after=written, stage="Recovered")
    assert "ENOSPC" in outage["detail"]["outage"]["problem"]


@pytest.mark.failure("F-store-full")
async def test_a_full_store_stops_what_needs_approval_and_nothing_else(place: Place) -> None:
    first = place.ask("write_note", "before")
    assert kind(first) == "held", first.text
    place.store.fill()
    assert kind(place.ask("write_note", "full")) == "unavailable"
    assert "well" in place.ask("read_note").text
    assert place.upstream.calls("write_note") == 0
    place.store.free()
    assert kind(place.ask("write_note", "after")) == "held"


@pytest.mark.failure("F-records-replaced")
def test_records_that_are_taken_away_let_nothing_more_pass(place: Place) -> None:
    folder = place.world.var / "recordings"
    until_served(place)
    written = len(trail(folder))
    (folder / "audit").rename(folder / "taken")
    (folder / "audit").mkdir(mode=0o700)
    place.upstream.forget()
    answers = [place.ask("read_note") for _ in range(3)]
    assert {kind(a) for a in answers} == {"unavailable"}
    assert place.upstream.requests == []
    assert "bring the folder back" in place.world.gateway.output
    (folder / "audit").rmdir()
    (folder / "taken").rename(folder / "audit")
    until_served(place)
    assert len(trail(folder)) > written


@pytest.mark.failure("F-unwritable")
@pytest.mark.parametrize("which", ["recordings", "store"])
def test_a_folder_that_cannot_be_written_refuses_start(tmp_path_factory: pytest.TempPathFactory, which: str) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    with RawUpstream() as upstream, SmallDisk(world.var / which) as disk:
        arrange(world, upstream)
        disk.write_protect()
        with world:
            gateway = world.launch()
            assert gateway.wait() == 1, gateway.output
            world.gateway = None
            assert "does not start" in gateway.output
            assert str(disk.folder) in gateway.output
            assert "Traceback" not in gateway.output
