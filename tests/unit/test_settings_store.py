"""`store:` in `gateway.yaml`: a file of one gateway's own, or a database that several share."""

import sys
from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import ENVIRON, marked_place, write_gateway

from holdpoint.cli.commands import main
from holdpoint.clock import ManualClock
from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import Postgres, SecretSource
from holdpoint.settings_file import load_settings
from holdpoint.store.opening import make_store
from holdpoint.store.sqlite import SqliteStore

STORE = "{path: var/holdpoint.sqlite}"
SHARED = "{postgres: {url: {env: STORE_URL}, schema: prod, ca_file: db.pem}}"
PLAIN = "{postgres: {url: {env: STORE_URL}}}"
URL = "postgresql://hp:hunter2@127.0.0.1/approvals"


def load(folder: Path, store: str):
    return load_settings(write_gateway(folder, (STORE, store)), ENVIRON, check_machine=False)


def test_shared_store_is_read(tmp_path: Path) -> None:
    found = load(tmp_path, SHARED).store
    assert found == Postgres(SecretSource(env="STORE_URL"), schema="prod", ca_file=tmp_path / "db.pem")


def test_schema_has_a_default(tmp_path: Path) -> None:
    store = load(tmp_path, PLAIN).store
    assert isinstance(store, Postgres)
    assert store.schema == "holdpoint"


@pytest.mark.parametrize(
    ("store", "said"),
    [
        pytest.param("«{}", "either `path`", id="neither"),
        pytest.param("«{path: a, postgres: {url: {env: A}}}", "either `path`", id="both"),
        pytest.param("{postgres: «{}}", "key `url` is missing", id="no url"),
        pytest.param("{postgres: {url: «postgresql://hp:hunter2@db/x}}", "secret", id="url written out"),
        pytest.param("{postgres: {url: «{}}}", "exactly one of `env` and `file`", id="url from nowhere"),
        pytest.param('{postgres: {url: {env: A}, schema: «"a; drop"}}', "small letters", id="schema that is SQL"),
        pytest.param("{postgres: {url: {env: A}, schema: «Prod}}", "small letters", id="capital schema"),
        pytest.param("{postgres: {url: {env: A}, schema: «" + "a" * 41 + "}}", "at most 40", id="long schema"),
    ],
)
@pytest.mark.threat("T85")
def test_what_cannot_be_meant_is_refused_where_it_stands(tmp_path: Path, store: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load(tmp_path, store)
    assert str(caught.value).startswith(marked_place(tmp_path / "gateway.yaml", (STORE, store)))
    assert "hunter2" not in str(caught.value)


def test_store_is_what_the_settings_name(tmp_path: Path) -> None:
    assert isinstance(make_store(load(tmp_path, "{path: var/s.db}"), {}, ManualClock()), SqliteStore)
    shared = make_store(load(tmp_path, PLAIN), {"STORE_URL": URL}, ManualClock())
    assert shared.shared


def test_url_that_is_not_there_is_named_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`STORE_URL`: is not set"):
        make_store(load(tmp_path, PLAIN), {}, ManualClock())


@pytest.mark.failure("F-store-pg-start")
def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.startswith("holdpoint.store.postgres")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        ConfigError, match=r"needs the package `psycopg`, which the extra `holdpoint\[postgres\]` brings"
    ):
        make_store(load(tmp_path, PLAIN), {"STORE_URL": URL}, ManualClock())


def test_roles_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_gateway(tmp_path, (STORE, SHARED))
    assert main(["--config", str(file), "store", "grants", 'gw"x', "--reader", "reports"]) == 0
    said = capsys.readouterr().out
    assert 'GRANT USAGE ON SCHEMA "prod" TO "gw""x";' in said
    assert not any("reports" in line and ("INSERT" in line or "arguments" in line) for line in said.splitlines())


def test_store_of_ones_own_has_no_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(write_gateway(tmp_path)), "store", "migrate"]) == 1
    assert "a file of this gateway's own" in capsys.readouterr().err
