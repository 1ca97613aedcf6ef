import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdpoint.domain.refusal import ConfigError
from holdpoint.keys import load_public, load_ring, open_audit_keys, open_ca_folder, open_digest_key, public_pem
from holdpoint.settings import Keys, SigningKey


def keys(folder: Path, *ring: SigningKey, active: str = "k1") -> Keys:
    return Keys(ca_folder=folder / "ca", audit_active=active, audit=ring, digest_file=folder / "digest.key")


def signing(folder: Path, name: str = "k1", *, create: bool = True) -> SigningKey:
    return SigningKey(name, folder / "keys" / f"{name}.pem", create=create)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def put(file: Path, data: bytes, permissions: int = 0o600) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_bytes(data)
    file.chmod(permissions)


def test_active_key_is_made_once_and_private(tmp_path: Path) -> None:
    opened = open_audit_keys(keys(tmp_path, signing(tmp_path)))
    signature = opened.signer.sign(b"head")
    again = open_audit_keys(keys(tmp_path, signing(tmp_path)))
    again.ring["k1"].verify(signature, b"head")
    assert again.signer.key_id == "k1"
    assert [mode(tmp_path / "keys"), mode(tmp_path / "keys/k1.pem"), mode(tmp_path / "keys/k1.pub")] == [
        0o700,
        0o600,
        0o644,
    ]
    assert sorted(f.name for f in (tmp_path / "keys").iterdir()) == ["k1.pem", "k1.pub"]


def test_signature_of_another_text_does_not_verify(tmp_path: Path) -> None:
    opened = open_audit_keys(keys(tmp_path, signing(tmp_path)))
    with pytest.raises(InvalidSignature):
        opened.ring["k1"].verify(opened.signer.sign(b"head"), b"hear")


def test_key_comes_from_the_given_randomness(tmp_path: Path) -> None:
    opened = open_audit_keys(keys(tmp_path, signing(tmp_path)), random=lambda n: b"\x07" * n)
    assert opened.signer.public == Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key()


def test_signer_never_shows_its_key(tmp_path: Path) -> None:
    opened = open_audit_keys(keys(tmp_path, signing(tmp_path)))
    assert repr(opened.signer) == "Signer(key_id='k1')"


def test_missing_key_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"k1\.pem: does not exist"):
        open_audit_keys(keys(tmp_path, signing(tmp_path, create=False)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.failure("F-key-lost")
def test_lost_key_is_not_replaced(tmp_path: Path) -> None:
    open_audit_keys(keys(tmp_path, signing(tmp_path)))
    (tmp_path / "keys/k1.pem").unlink()
    with pytest.raises(ConfigError, match="put it back, or add a key with a new id"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


def test_older_key_verifies_by_its_public_half_alone(tmp_path: Path) -> None:
    old = open_audit_keys(keys(tmp_path, signing(tmp_path)))
    (tmp_path / "keys/k1.pem").unlink()
    ring = (signing(tmp_path, create=False), signing(tmp_path, "k2"))
    opened = open_audit_keys(keys(tmp_path, *ring, active="k2"))
    opened.ring["k1"].verify(old.signer.sign(b"head"), b"head")
    assert opened.signer.key_id == "k2"
    assert set(opened.ring) == {"k1", "k2"}


def test_ring_entry_may_name_the_public_file(tmp_path: Path) -> None:
    old = open_audit_keys(keys(tmp_path, signing(tmp_path)))
    public = SigningKey("k1", tmp_path / "keys/k1.pub")
    opened = open_audit_keys(keys(tmp_path, public, signing(tmp_path, "k2"), active="k2"))
    assert opened.ring["k1"] == old.signer.public


def test_ring_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_ring(keys(tmp_path, signing(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_ring_without_the_active_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no key of the ring has the id `k9`"):
        load_ring(keys(tmp_path, signing(tmp_path), active="k9"))
    with pytest.raises(ConfigError, match="no key of the ring has the id `k1`"):
        load_ring(keys(tmp_path))


def test_halves_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    open_audit_keys(keys(tmp_path, signing(tmp_path)))
    put(tmp_path / "keys/k1.pub", public_pem(Ed25519PrivateKey.generate().public_key()))
    with pytest.raises(ConfigError, match=r"not the public half of `k1\.pem`"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "not a private key in PEM form", id="empty"),
        pytest.param(pem(Ed25519PrivateKey.generate())[:60], "not a private key", id="cut short"),
        pytest.param(pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 key", id="another type"),
        pytest.param(pem(Ed25519PrivateKey.generate(), b"pass"), "without a passphrase", id="encrypted"),
        pytest.param(public_pem(Ed25519PrivateKey.generate().public_key()), "not a private key", id="public"),
        pytest.param(b"x" * 70_000, "larger than", id="huge"),
    ],
)
def test_file_that_is_no_signing_key_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    put(tmp_path / "keys/k1.pem", data)
    with pytest.raises(ConfigError, match=message):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o620, 0o644, 0o610])
def test_key_that_others_reach_is_refused(tmp_path: Path, permissions: int) -> None:
    put(tmp_path / "keys/k1.pem", pem(Ed25519PrivateKey.generate()), permissions)
    with pytest.raises(ConfigError, match="others can read or write it"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


def test_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "keys/k1.pem", pem(Ed25519PrivateKey.generate()))
    if os.geteuid() == 0:
        os.chown(tmp_path / "keys/k1.pem", 12_345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(ConfigError, match="another user owns it"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


def test_symbolic_link_is_not_followed_to_a_key(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere.pem", pem(Ed25519PrivateKey.generate()))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/k1.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(ConfigError, match="a symbolic link is not followed"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


def test_dangling_link_is_no_missing_key(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/k1.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(ConfigError, match="a symbolic link is not followed"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))
    assert not (tmp_path / "elsewhere.pem").exists()


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_no_key(tmp_path: Path, kind: str) -> None:
    (tmp_path / "keys").mkdir()
    if kind == "pipe":
        os.mkfifo(tmp_path / "keys/k1.pem", 0o600)
    else:
        (tmp_path / "keys/k1.pem").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="not a file"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


def test_key_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    other = pem(Ed25519PrivateKey.generate())

    def random(count: int) -> bytes:
        put(tmp_path / "keys/k1.pem", other)
        return b"\x07" * count

    with pytest.raises(ConfigError, match="exists already"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)), random=random)
    assert (tmp_path / "keys/k1.pem").read_bytes() == other
    assert [f.name for f in (tmp_path / "keys").iterdir()] == ["k1.pem"]


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(ConfigError, match="its folder cannot be made"):
        open_audit_keys(keys(tmp_path, signing(tmp_path)))


def test_public_key_of_another_type_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    put(tmp_path / "k.pub", other.public_bytes(serialization.Encoding.PEM, form))
    put(tmp_path / "bad.pub", b"nothing")
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        load_public(tmp_path / "k.pub")
    with pytest.raises(ConfigError, match="not a public key"):
        load_public(tmp_path / "bad.pub")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_public(tmp_path / "absent.pub")


def test_digest_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = open_digest_key(tmp_path / "keys/digest.key", random=lambda n: bytes(range(n)))
    assert key == bytes(range(32))
    assert open_digest_key(tmp_path / "keys/digest.key") == key
    assert mode(tmp_path / "keys/digest.key") == 0o600


@pytest.mark.parametrize("text", [b"", b"abcd\n", b"z" * 64, b"a" * 64 + b"\n\n", b"a" * 63], ids=repr)
def test_digest_key_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    put(tmp_path / "keys/digest.key", text)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        open_digest_key(tmp_path / "keys/digest.key")


def test_authority_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = open_ca_folder(tmp_path / "var/ca")
    assert mode(folder) == 0o700
    assert open_ca_folder(folder) == folder


def test_folder_of_the_authority_that_others_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir(mode=0o755)
    (tmp_path / "ca").chmod(0o750)
    with pytest.raises(ConfigError, match="others can enter it"):
        open_ca_folder(tmp_path / "ca")


def test_folder_of_the_authority_holds_no_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "ca").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="name the folder itself"):
        open_ca_folder(tmp_path / "ca")
    (tmp_path / "real/mitmproxy-ca.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="put the file itself here"):
        open_ca_folder(tmp_path / "real")


def test_file_in_place_of_the_authoritys_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("")
    with pytest.raises(ConfigError, match="not a folder"):
        open_ca_folder(tmp_path / "ca")
    with pytest.raises(ConfigError, match="its folder cannot be made"):
        open_ca_folder(tmp_path / "ca/below")
