"""What is looked at on the machine itself: secrets, keys, certificates."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.fakes.gateway_yaml import BASE, ENVIRON, MARK, marked_place, write_gateway

from holdpoint.domain.refusal import ConfigError
from holdpoint.keys import open_audit_keys
from holdpoint.settings_file import load_settings

FRESH = BASE.replace("      - {id: audit-1, file: var/keys/audit-1.pub}\n", "")
LISTEN = '    listen: "127.0.0.1:8080"\n'


def put(file: Path, data: bytes, permissions: int = 0o600) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_bytes(data)
    file.chmod(permissions)


def certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw.example.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    signed = builder.not_valid_after(dt.datetime(2099, 1, 1, tzinfo=dt.UTC)).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed.public_bytes(serialization.Encoding.PEM), private


def refused(folder: Path, *changes: tuple[str, str], environ: dict[str, str] | None = None) -> str:
    file = write_gateway(folder, *changes, base=FRESH)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, ENVIRON if environ is None else environ)
    marked = [change for change in changes if MARK in change[1]]
    assert caught.value.where == (marked_place(file, marked[0], base=FRESH) if marked else caught.value.where)
    assert caught.value.where.startswith(f"{file}:")
    return str(caught.value)


@pytest.mark.failure("F-start")
@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param({}, "environment variable `FILES_TOKEN`: is not set", id="unset"),
        pytest.param({"FILES_TOKEN": ""}, "the secret is empty", id="empty"),
        pytest.param({"FILES_TOKEN": "a\r\nX: b"}, "a control character or a line break", id="two lines"),
    ],
)
def test_secret_of_the_environment_must_be_there(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    assert message in refused(tmp_path, ("{env: FILES_TOKEN}", "{env: «FILES_TOKEN}"), environ=environ)


def test_secret_file_is_read_where_it_is_private(tmp_path: Path) -> None:
    put(tmp_path / "token", b"hunter2\n")
    file = write_gateway(tmp_path, ("{env: FILES_TOKEN}", "{file: token}"), base=FRESH)
    source = load_settings(file, {}).target("files").credentials["main"].source
    assert source is not None
    assert source.file == tmp_path / "token"


@pytest.mark.threat("T15")
@pytest.mark.parametrize(
    ("permissions", "name", "message"),
    [
        pytest.param(0o644, "token", "others can read or write it", id="others read it"),
        pytest.param(0o600, "link", "a symbolic link is not followed", id="link"),
        pytest.param(0o600, "absent", "does not exist", id="absent"),
    ],
)
def test_secret_file_that_is_not_private_is_refused(tmp_path: Path, permissions: int, name: str, message: str) -> None:
    put(tmp_path / "token", b"hunter2", permissions)
    (tmp_path / "link").symlink_to("token")
    text = refused(tmp_path, ("{env: FILES_TOKEN}", f"{{file: «{name}}}"))
    assert message in text
    assert "hunter2" not in text


@pytest.mark.failure("F-start")
def test_missing_key_is_told_how_to_be_made(tmp_path: Path) -> None:
    text = refused(tmp_path, ("- {id: audit-2, file: var/keys/audit-2.pem, create: true}", "- «{id: audit-2, file: k}"))
    assert "`create: true` to have it made at first start" in text


@pytest.mark.threat("T15")
def test_key_that_others_read_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "var/keys/audit-2.pem", b"", 0o640)
    assert "audit-2.pem: others can read or write it" in refused(tmp_path)


def test_settings_and_keys_fit_together(tmp_path: Path) -> None:
    settings = load_settings(write_gateway(tmp_path, base=FRESH), ENVIRON)
    opened = open_audit_keys(settings.keys)
    settings = load_settings(write_gateway(tmp_path, base=FRESH), ENVIRON)
    assert open_audit_keys(settings.keys).signer.public == opened.signer.public
    (tmp_path / "var/keys/audit-2.pem").rename(tmp_path / "var/keys/audit-1.pem")
    (tmp_path / "var/keys/audit-2.pub").rename(tmp_path / "var/keys/audit-1.pub")
    rotated = load_settings(write_gateway(tmp_path), ENVIRON)
    assert open_audit_keys(rotated.keys).ring["audit-1"] == opened.signer.public


def test_certificate_and_key_that_belong_together_are_taken(tmp_path: Path) -> None:
    public, private = certificate()
    put(tmp_path / "tls.crt", public, 0o644)
    put(tmp_path / "tls.key", private)
    file = write_gateway(tmp_path, (LISTEN, f"{LISTEN}    tls: {{certificate: tls.crt, key: tls.key}}\n"), base=FRESH)
    listener = load_settings(file, ENVIRON).listeners[0]
    assert listener.tls is not None
    assert listener.tls.certificate == tmp_path / "tls.crt"
    assert listener.url == "https://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        pytest.param("certificate: «absent.crt, key: tls.key", "cannot be read", id="no certificate"),
        pytest.param("certificate: «tls.key, key: tls.key", "holds no certificate", id="key as certificate"),
        pytest.param("certificate: tls.crt, key: «other.key", "does not belong to the certificate", id="another key"),
        pytest.param("certificate: tls.crt, key: «tls.crt", "others can read or write it", id="certificate as key"),
        pytest.param("certificate: tls.crt, key: «bad.key", "not a private key in PEM form", id="no key"),
        pytest.param("certificate: tls.crt, key: «open.key", "others can read or write it", id="key others read"),
    ],
)
def test_certificate_and_key_that_do_not_fit_are_refused(tmp_path: Path, pair: str, message: str) -> None:
    public, private = certificate()
    put(tmp_path / "tls.crt", public, 0o644)
    put(tmp_path / "tls.key", private)
    put(tmp_path / "open.key", private, 0o644)
    put(tmp_path / "other.key", certificate()[1])
    put(tmp_path / "bad.key", b"nothing")
    assert message in refused(tmp_path, (LISTEN, f"{LISTEN}    tls: {{{pair}}}\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"nothing", "holds no certificate"), (b"", "holds no certificate")],
    ids=["absent", "no certificate", "empty"],
)
def test_authority_file_must_hold_one(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        put(tmp_path / "ca.pem", content)
    issuer = "https://machines.example.com\n"
    assert message in refused(tmp_path, (issuer, f"{issuer}    ca_file: «ca.pem\n"))
