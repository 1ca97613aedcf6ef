"""Where the database is: what its URL may say, and that nobody else reads the road or the password."""

from pathlib import Path

import pytest
from psycopg import conninfo

from holdpoint.clock import ManualClock
from holdpoint.domain.refusal import ConfigError
from holdpoint.store.postgres import PostgresStore
from holdpoint.store.postgres_place import read_place
from holdpoint.store.protocol import StoreUnavailable

PASSWORD = "hunter2-of-the-store"


def parameters(url: str, ca_file: Path | None = None) -> dict[str, object]:
    return conninfo.conninfo_to_dict(read_place(url, "holdpoint", ca_file).conninfo)


@pytest.mark.threat("T84")
@pytest.mark.parametrize("host", ["db.example", "10.0.0.7", "[2001:db8::1]", "localhost,db.example"])
def test_over_a_network_the_server_must_prove_who_it_is(host):
    found = parameters(f"postgresql://hp:{PASSWORD}@{host}/holdpoint")
    assert (found["sslmode"], found["sslrootcert"], found["gssencmode"]) == ("verify-full", "system", "disable")


@pytest.mark.threat("T84")
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_weaker_modes_are_refused(mode):
    with pytest.raises(ConfigError, match=f"sslmode={mode}.*only `verify-full` will do") as caught:
        read_place(f"postgresql://hp:{PASSWORD}@db.example/holdpoint?sslmode={mode}", "holdpoint", None)
    assert PASSWORD not in str(caught.value)


@pytest.mark.threat("T84")
def test_address_beside_a_loopback_name_is_a_network():
    assert parameters("postgresql://localhost/h?hostaddr=10.0.0.7")["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    "url", ["postgresql:///h?host=/run/postgresql", "postgresql://127.0.0.1/h", "postgresql://[::1]/h"]
)
def test_sockets_and_loopback_need_no_tls(url):
    found = parameters(url)
    assert "sslmode" not in found


@pytest.mark.threat("T84")
def test_address_of_the_environment_leads_nowhere(monkeypatch):
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    assert parameters("postgresql://127.0.0.1/h")["hostaddr"] == ""


def test_authority_of_the_settings_is_the_one_that_counts(tmp_path):
    found = parameters("postgresql://db.example/h", tmp_path / "ca.pem")
    assert found["sslrootcert"] == str(tmp_path / "ca.pem")


@pytest.mark.threat("T84")
@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param(f"postgresql://hp:{PASSWORD}%zz@db.example/h", "cannot be read", id="bad escape"),
        pytest.param(f"postgresql://hp:{PASSWORD}@db.example/h?bogus={PASSWORD}", "cannot be read", id="unknown word"),
        pytest.param(f"postgresql://hp:{PASSWORD}@/h", "names no host", id="no host"),
        pytest.param(f"postgresql://hp:{PASSWORD}@db.example/h?options=-cx", "may not say `options`", id="options"),
        pytest.param(f"postgresql://hp:{PASSWORD}@db.example/h?service=x", "may not say `service`", id="service"),
    ],
)  # fmt: skip
def test_url_that_will_not_do_is_refused_without_being_repeated(url, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_place(url, "holdpoint", None)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.threat("T84")
def test_place_shows_no_password():
    place = read_place(f"postgresql://hp:{PASSWORD}@db.example:6432/approvals", "prod", None)
    assert PASSWORD not in repr(place)
    assert place.name == "db.example:6432/approvals (prod)"


@pytest.mark.threat("T84")
@pytest.mark.failure("F-store-pg-start")
async def test_server_that_is_not_there_is_named_and_the_password_is_not(caplog):
    place = read_place(f"postgresql://hp:{PASSWORD}@127.0.0.1:1/holdpoint", "holdpoint", None)
    with pytest.raises(StoreUnavailable, match=r"`127\.0\.0\.1:1/holdpoint \(holdpoint\)` cannot be reached") as caught:
        await PostgresStore(place, ManualClock()).open()
    assert PASSWORD not in str(caught.value) + caplog.text
