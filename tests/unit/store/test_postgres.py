"""What only PostgreSQL can do to a store: lose connections, turn roles away, have several gateways at once."""

import asyncio
import re
import threading

import psycopg
import pytest
from tests.fakes.approvals import ask
from tests.fakes.gateway_yaml import write_gateway
from tests.fakes.postgres import Server

from holdpoint.approvals.terms import key_of
from holdpoint.cli.commands import main
from holdpoint.clock import ManualClock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.store.postgres import PostgresStore
from holdpoint.store.postgres_place import read_place
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.store.roles import grants as role_grants
from holdpoint.store.rows import Connection
from holdpoint.store.schema import migrations

NOW = 1_800_000_000.0


@pytest.fixture
async def store(make_postgres, clock: ManualClock):
    it = make_postgres(clock)
    await it.open()
    yield it
    await it.close()


async def cut_off(server: Server, store: PostgresStore) -> None:
    """End every connection of this store, as an administrator does."""
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (f"holdpoint {store._life}",),
        )


async def until_noticed(store: PostgresStore) -> StoreUnavailable:
    """Return what the first caller is told who finds the connection gone."""
    async with asyncio.timeout(30):
        while True:
            try:
                await store.set_note("a", "2")
            except StoreUnavailable as error:
                return error


async def once_back(store: PostgresStore) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await store.set_note("back", "1")
                await store.pending_versions()
            except StoreUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


@pytest.mark.failure("F-store-pg-start")
async def test_gateways_that_start_at_once_migrate_once(make_postgres, clock, postgres_server, postgres_schema):
    stores = [make_postgres(clock) for _ in range(4)]
    await asyncio.gather(*(s.open() for s in stores))
    with postgres_server.connect(postgres_schema) as connection:
        done = connection.execute("SELECT version FROM schema_version ORDER BY version").fetchall()
    assert [v for (v,) in done] == [*range(1, len(migrations("postgres")) + 1)]
    for store in stores:
        await store.close()


@pytest.mark.failure("F-store-pg-start")
async def test_store_of_a_newer_version_is_refused(store, make_postgres, clock):
    await store._writer.run(lambda c: c.execute("INSERT INTO schema_version VALUES (99, 0)"))
    with pytest.raises(StoreUnavailable, match=r"schema version 99.*run the newer version"):
        await make_postgres(clock).open()


@pytest.mark.failure("F-store-pg-start")
async def test_database_that_is_not_there_is_named(postgres_server, clock):
    place = read_place(postgres_server.url.replace("/postgres?", "/nowhere?"), "holdpoint", None)
    with pytest.raises(StoreUnavailable, match=r"turns this gateway away .*does not exist"):
        await PostgresStore(place, clock).open()


@pytest.mark.failure("F-store-pg-start")
async def test_database_of_another_encoding_is_refused(postgres_server, clock):
    with postgres_server.connect() as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    place = read_place(postgres_server.url.replace("/postgres?", "/latin?"), "holdpoint", None)
    with pytest.raises(StoreUnavailable, match="keeps text as LATIN1"):
        await PostgresStore(place, clock).open()


@pytest.mark.failure("F-store-pg-away")
async def test_lost_connection_is_told_at_once_and_made_again(store, postgres_server):
    await store.set_note("a", "1")
    first = store.gateway
    await cut_off(postgres_server, store)
    assert re.search("is shutting down|cannot be reached", str(await until_noticed(store)))
    await once_back(store)
    assert await store.note("a") in ("1", "2")
    assert store.gateway != first
    assert store._life in store.gateway


@pytest.mark.failure("F-store-pg-away")
async def test_while_it_is_away_nobody_waits(store, postgres_server, monkeypatch):
    stop = threading.Event()
    real = store._writer._backend._connect

    def later() -> psycopg.Connection:
        stop.wait(30)
        return real()

    monkeypatch.setattr(store._writer._backend, "_connect", later)
    await cut_off(postgres_server, store)
    await until_noticed(store)
    # The server lets nobody in, and still every caller has his answer.
    results = await asyncio.gather(*(store.set_note("a", "3") for _ in range(100)), return_exceptions=True)
    assert {type(r) for r in results} == {StoreUnavailable}
    stop.set()
    await once_back(store)


@pytest.mark.failure("F-store-pg-doubt")
async def test_commit_whose_answer_is_lost_is_told_as_in_doubt(store, postgres_server):
    """The transaction is killed between its last statement and its commit."""

    def work(connection: Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half', 'done', 0)")
        pid = connection.execute("SELECT pg_backend_pid()").fetchall()[0][0]
        with postgres_server.connect() as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    with pytest.raises(StoreUnavailable, match="may be stored or not"):
        await store._writer.run(work)
    await once_back(store)
    assert await store.note("half") is None


@pytest.mark.failure("F-store-pg-doubt")
async def test_everyone_in_a_lost_batch_is_told(store, postgres_server):
    gate, inside = threading.Event(), threading.Event()

    def block(_: Connection) -> None:
        inside.set()
        gate.wait(30)

    def die(connection: Connection) -> None:
        pid = connection.execute("SELECT pg_backend_pid()").fetchall()[0][0]
        with postgres_server.connect() as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    blocked = asyncio.ensure_future(store._writer.run(block))
    await asyncio.to_thread(inside.wait, 30)
    batch = [asyncio.ensure_future(store.set_note(f"n{i}", "x")) for i in range(5)]
    batch.insert(3, asyncio.ensure_future(store._writer.run(die)))
    await asyncio.sleep(0)
    gate.set()
    await blocked
    results = await asyncio.gather(*batch, return_exceptions=True)
    assert {type(r) for r in results} == {StoreUnavailable}
    await once_back(store)
    assert [await store.note(f"n{i}") for i in range(5)] == [None] * 5


async def test_deadlock_between_two_gateways_is_nobodys_error(store, make_postgres, clock):
    """Two gateways change the same two rows in opposite order, in one transaction each."""
    other = make_postgres(clock)
    await other.open()
    for name in ("a", "b"):
        await store.set_note(name, "0")
    barrier = threading.Barrier(2, timeout=30)
    met: set[str] = set()

    def both(first: str, second: str, who: str):
        def work(connection: Connection) -> None:
            connection.execute("UPDATE notes SET value = value || ? WHERE name = ?", (who, first))
            if who not in met:
                met.add(who)
                barrier.wait()
            connection.execute("UPDATE notes SET value = value || ? WHERE name = ?", (who, second))

        return work

    await asyncio.gather(store._writer.run(both("a", "b", "x")), other._writer.run(both("b", "a", "y")))
    assert sorted(await store.note("a")) == sorted(await store.note("b")) == ["0", "x", "y"]
    await other.close()


async def test_text_with_a_nul_is_refused_and_harms_nobody_else(store):
    results = await asyncio.gather(
        store.set_note("a", "1"), store.set_note("b", "x\0y"), store.set_note("c", "3"), return_exceptions=True
    )
    assert [type(r) for r in results] == [type(None), ValueError, type(None)]


@pytest.mark.threat("T85")
async def test_statement_that_fails_tells_no_value(store, caplog):
    secret = "what-was-to-be-stored"
    with pytest.raises(StoreUnavailable, match="SQLSTATE") as caught:
        await store._writer.run(lambda c: c.execute("INSERT INTO notes VALUES (?, ?, ?)", ("n", "v", secret)))
    assert secret not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None


async def test_operation_that_hides_a_failure_has_no_effect(store):
    def hides(connection: Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half', 'done', 0)")
        try:
            connection.execute("SELECT 1/0")
        except psycopg.Error:
            return

    with pytest.raises(RuntimeError, match="hid the failure"):
        await store._writer.run(hides)
    assert await store.note("half") is None


@pytest.mark.threat("T85")
async def test_session_relies_on_nothing_that_role_or_database_say(postgres_server, postgres_schema, clock):
    with postgres_server.connect() as connection:
        connection.execute("CREATE ROLE careless LOGIN SUPERUSER")
        connection.execute("ALTER ROLE careless SET synchronous_commit = off")
        connection.execute("ALTER ROLE careless SET search_path = public")
        connection.execute("ALTER ROLE careless SET statement_timeout = 0")
    url = postgres_server.url.replace("postgres:@", "careless:@")
    store = PostgresStore(read_place(url, postgres_schema, None), clock)
    await store.open()
    names = ("synchronous_commit", "search_path", "statement_timeout", "lock_timeout")
    found = await store._writer.run(lambda c: [c.execute(f"SHOW {n}").fetchall()[0][0] for n in names])
    assert found == ["on", f'"{postgres_schema}", pg_temp', "10s", "5s"]
    await store.close()
    with postgres_server.connect() as connection:
        connection.execute(f"DROP SCHEMA {postgres_schema} CASCADE")
        connection.execute("DROP ROLE careless")


@pytest.mark.threat("T85")
async def test_roles_get_what_they_need_and_no_more(store, postgres_server, postgres_schema, clock):
    request = ApprovalRequest("apr-1", ask(), ApprovalState.PENDING, NOW, NOW + 600)
    await store.add_approval(request, key_of(request.ask), "")
    gateway, reader = f"{postgres_schema}_gw", f"{postgres_schema}_ro"
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE {gateway} LOGIN")
        connection.execute(f"CREATE ROLE {reader} LOGIN")
        connection.execute(role_grants(postgres_schema, gateway, reader))
    try:
        # A gateway that may create nothing starts on a schema that is up to date.
        second = PostgresStore(
            read_place(postgres_server.url.replace("postgres:@", f"{gateway}:@"), postgres_schema, None), clock
        )
        await second.open()
        await second.set_note("a", "1")
        assert (await second.approval("apr-1")).id == "apr-1"
        await second.close()
        place = read_place(postgres_server.url.replace("postgres:@", f"{reader}:@"), postgres_schema, None)
        with psycopg.connect(place.conninfo, autocommit=True) as connection:
            connection.execute(f"SET search_path = {postgres_schema}")
            assert connection.execute("SELECT id, preview, state FROM approvals").fetchall()[0][0] == "apr-1"
            for refused in (
                "SELECT arguments FROM approvals",
                "SELECT ask FROM approvals",
                "SELECT vote FROM votes",
                "INSERT INTO votes VALUES ('apr-1', 1, '{}')",
                "UPDATE approvals SET state = 'approved'",
                "SELECT * FROM handles",
                "DELETE FROM grants",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(refused)
    finally:
        with postgres_server.connect() as connection:
            connection.execute(f"DROP OWNED BY {gateway}, {reader}")
            connection.execute(f"DROP ROLE {gateway}")
            connection.execute(f"DROP ROLE {reader}")


async def test_spends_stay_this_gateways_own_over_a_new_connection(store, postgres_server, clock):
    from tests.unit.store.test_contract import add, approve, held

    grant = await approve(store, await add(store, held()))
    await store.spend(grant.id, wire="w", exchange="x", at=NOW)
    await cut_off(postgres_server, store)
    await once_back(store)
    owners = await store._writer.run(lambda c: c.execute("SELECT gateway FROM spends").fetchall())
    assert owners == [(store.gateway,)]
    clock.advance(1_000)
    assert await store.take_over() == ()


@pytest.mark.failure("F-store-pg-start")
def test_command_migrates_for_a_role_that_may(tmp_path, postgres_server, postgres_schema, monkeypatch, capsys):
    settings = f"{{postgres: {{url: {{env: STORE_URL}}, schema: {postgres_schema}}}}}"
    file = write_gateway(tmp_path, ("{path: var/holdpoint.sqlite}", settings))
    monkeypatch.setenv("STORE_URL", postgres_server.url)
    assert main(["--config", str(file), "store", "migrate"]) == 0
    assert "up to date" in capsys.readouterr().out
    with postgres_server.connect(postgres_schema) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchall() == [
            (len(migrations("postgres")),)
        ]
