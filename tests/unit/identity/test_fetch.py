import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.fakes.issuer import FakeIssuer
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.identity.fetch import FetchError, fetch, post
from holdpoint.identity.verify import Verifier


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test authority")])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@pytest.fixture(scope="module")
def secure(certificate: tuple[Path, Path]) -> Iterator[FakeIssuer]:
    with FakeIssuer(tls=certificate, clock=ManualClock()) as issuer:
        yield issuer


async def test_issuer_of_a_private_authority_is_trusted_by_its_file(secure: FakeIssuer, certificate: tuple[Path, Path]):
    verifier = Verifier([settings_for(secure, ca_file=certificate[0])], secure.clock)
    principal = await verifier.verify(secure.mint(), audiences=frozenset(), issuers=frozenset())
    assert principal.issuer == secure.url
    assert secure.url.startswith("https:")
    await verifier.close()


async def test_issuer_of_an_unknown_authority_is_not_trusted(secure: FakeIssuer):
    with pytest.raises(FetchError, match="cannot be reached"):
        await fetch(f"{secure.url}/jwks")


async def test_missing_authority_file_is_said(secure: FakeIssuer, tmp_path: Path):
    with pytest.raises(FetchError, match="No such file"):
        await fetch(f"{secure.url}/jwks", ca_file=tmp_path / "absent.pem")


async def test_proxies_of_the_environment_are_not_used(idp: FakeIssuer, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetch(f"{idp.url}/jwks")


async def test_form_is_posted_and_the_status_returned(idp: FakeIssuer):
    status, body = await post(f"{idp.url}/token", {"grant_type": "authorization_code", "client_id": "nobody"})
    assert status == 400
    assert b"invalid_client" in body


async def test_form_does_not_follow_a_redirect(idp: FakeIssuer):
    idp.faults.set("redirect", "/token")
    status, _ = await post(f"{idp.url}/token", {"refresh_token": "r"})
    assert status == 307
    assert idp.requests == ["/token"]


async def test_error_never_holds_what_was_posted(idp: FakeIssuer):
    idp.stop()
    with pytest.raises(FetchError) as caught:
        await post(f"{idp.url}/token", {"refresh_token": "SECRET"})
    assert "SECRET" not in repr(caught.value) + repr(caught.value.__cause__)
