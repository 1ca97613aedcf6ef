"""Whose sessions and tasks are, over time and restarts."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdpoint.clock import ManualClock
from holdpoint.stages import handles as handles_module
from holdpoint.stages.handles import UNUSED_FOR, ForeignHandle, Handles
from holdpoint.store.sqlite import SqliteStore

ALICE, BOB = "https://idp#alice", "https://idp#bob"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    it = SqliteStore(tmp_path / "store.db", clock)
    await it.open()
    try:
        yield it
    finally:
        await it.close()


async def restarted(store: SqliteStore, clock: ManualClock) -> Handles:
    fresh = Handles(store, clock)
    fresh.load(await store.handles(clock.now() - UNUSED_FOR))
    return fresh


async def test_handle_is_its_owners_on_its_target_and_of_its_kind_alone(store, clock):
    handles = Handles(store, clock)
    handles.began("session", "notes", "s1", ALICE)
    assert handles.is_of("session", "notes", "s1", ALICE)
    assert not handles.is_of("session", "notes", "s1", BOB)
    assert not handles.is_of("session", "files", "s1", ALICE)
    assert not handles.is_of("task", "notes", "s1", ALICE)
    assert handles.is_of_another("session", "notes", "s1", BOB)
    assert not handles.is_of_another("session", "notes", "unknown", BOB)


async def test_restart_forgets_nobody(store, clock):
    handles = Handles(store, clock)
    handles.began("session", "notes", "s1", ALICE, lambda: {"capabilities": {"roots": {}}})
    handles.learned("session", "notes", "s1", {"version": "2025-06-18"})
    handles.began("task", "notes", "t1", BOB)
    fresh = await restarted(store, clock)
    assert fresh.is_of("session", "notes", "s1", ALICE)
    assert fresh.is_of("task", "notes", "t1", BOB)
    assert fresh.session_facts("notes", "s1") == ({"roots": {}}, "2025-06-18")
    assert fresh.session_facts("notes", "unknown") == ({}, "")


async def test_store_never_holds_the_id(store, clock, tmp_path):
    Handles(store, clock).began("session", "notes", "the-very-secret-session-id", ALICE)
    await store.handles(0)
    assert all(b"the-very-secret" not in file.read_bytes() for file in tmp_path.iterdir())


async def test_ended_handle_is_nobodys_not_even_after_a_restart(store, clock):
    handles = Handles(store, clock)
    handles.began("session", "notes", "s1", ALICE)
    handles.ended("session", "notes", "s1")
    handles.ended("session", "notes", "never-was")
    assert not handles.is_of("session", "notes", "s1", ALICE)
    assert not (await restarted(store, clock)).is_of("session", "notes", "s1", ALICE)


async def test_handle_that_nobody_used_for_long_is_forgotten(store, clock):
    handles = Handles(store, clock)
    handles.began("session", "notes", "used", ALICE)
    handles.began("session", "notes", "unused", ALICE)
    clock.advance(UNUSED_FOR - 1)
    assert handles.is_of("session", "notes", "used", ALICE)
    clock.advance(2)
    assert handles.is_of("session", "notes", "used", ALICE)
    assert not handles.is_of("session", "notes", "unused", ALICE)
    fresh = await restarted(store, clock)
    assert fresh.is_of("session", "notes", "used", ALICE)
    assert not fresh.is_of("session", "notes", "unused", ALICE)


async def test_handle_given_to_two_principals_is_an_error(store, clock):
    handles = Handles(store, clock)
    handles.began("session", "notes", "s1", ALICE)
    handles.began("session", "notes", "s1", ALICE)
    with pytest.raises(ForeignHandle):
        handles.began("session", "notes", "s1", BOB)
    assert handles.is_of("session", "notes", "s1", ALICE)


async def test_one_principal_cannot_push_out_the_handles_of_another(store, clock, monkeypatch):
    monkeypatch.setattr(handles_module, "MOST_EACH", 3)
    handles = Handles(store, clock)
    handles.began("session", "notes", "alices", ALICE)
    for number in range(10):
        handles.began("session", "notes", f"b{number}", BOB)
    assert handles.is_of("session", "notes", "alices", ALICE)
    assert [handles.is_of("session", "notes", f"b{n}", BOB) for n in range(10)] == [False] * 7 + [True] * 3
    assert len(await store.handles(0)) == 4


async def test_beyond_the_most_of_all_the_one_unused_for_longest_goes(store, clock, monkeypatch):
    monkeypatch.setattr(handles_module, "MOST", 2)
    handles = Handles(store, clock)
    for who, session in ((ALICE, "a"), (BOB, "b")):
        handles.began("session", "notes", session, who)
    assert handles.is_of("session", "notes", "a", ALICE)
    handles.began("session", "notes", "c", "https://idp#carol")
    assert handles.is_of("session", "notes", "a", ALICE)
    assert not handles.is_of("session", "notes", "b", BOB)


@pytest.mark.failure("F-handle-not-stored")
async def test_handle_outlives_no_restart_while_the_store_is_closed_but_counts_at_once(clock, tmp_path, caplog):
    handles = Handles(SqliteStore(tmp_path / "never-opened.db", clock), clock)
    handles.began("session", "notes", "s1", ALICE)
    assert handles.is_of("session", "notes", "s1", ALICE)
    assert "will not survive a restart" in caplog.text


async def test_client_that_declares_too_much_is_remembered_without(store, clock):
    handles = Handles(store, clock)
    handles.began("session", "notes", "s1", ALICE, lambda: {"capabilities": {"x": "y" * 100_000}})
    assert (await restarted(store, clock)).session_facts("notes", "s1") == ({}, "")


async def test_many_threads_find_the_same_owner(store, clock):
    handles = Handles(store, clock)
    wrong: list[str] = []

    def work(who: str) -> None:
        for number in range(200):
            handles.began("session", "notes", f"{who}-{number}", who)
            if not handles.is_of("session", "notes", f"{who}-{number}", who):
                wrong.append(f"{who}-{number}")

    threads = [threading.Thread(target=work, args=(f"u{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
