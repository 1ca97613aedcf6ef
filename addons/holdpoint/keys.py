"""Keys at rest: those that sign audit chain, tokens of calls and decisions, that of keyed hashes, the CA folder."""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from holdpoint.domain.refusal import ConfigError
from holdpoint.private_files import create_private, private_folder, read_private
from holdpoint.settings import ConsoleKey, Keys, SigningKey

type Random = Callable[[int], bytes]

DIGEST_KEY_BYTES = 32
PUBLIC_SUFFIX = ".pub"


@dataclass(frozen=True, slots=True)
class Signer:
    """One Ed25519 key (RFC 8032) that signs, and the id under which its signatures are verified."""

    key_id: str
    _key: Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(data)

    @property
    def public(self) -> Ed25519PublicKey:
        """The half that verifies."""
        return self._key.public_key()


@dataclass(frozen=True, slots=True)
class KeyRing:
    """What signs for one purpose, and what verifies it."""

    signer: Signer
    ring: Mapping[str, Ed25519PublicKey]
    """Public keys by id: the active one and the older ones."""


def public_file(key: SigningKey) -> Path:
    """Return where the public half of a key stands: beside it, `.pub` instead of its suffix."""
    return key.file.with_suffix(PUBLIC_SUFFIX)


def open_audit_keys(keys: Keys, *, random: Random = secrets.token_bytes) -> KeyRing:
    """Load the ring of the audit chain, after making the active key where it is missing and `create` is set.

    Writes the public half of every private key beside it. Raises ConfigError on anything amiss: a missing key, a key
    of another type, a public half that is not the private one's, or a file that others can read.
    """
    return _open_ring(keys.audit_active, keys.audit, random)


def open_call_keys(keys: Keys, *, random: Random = secrets.token_bytes) -> KeyRing | None:
    """Load the ring that signs tokens of calls, as that of the audit chain. None where the settings have none."""
    return _open_ring(keys.calls_active, keys.calls, random) if keys.calls else None


def _open_ring(active_id: str, ring: Sequence[SigningKey], random: Random) -> KeyRing:
    active = _active(active_id, ring)
    signer = Signer(active.id, _open_private(active, random))
    return KeyRing(signer, {key.id: _public_half(key) for key in ring})


def open_console_key(key: ConsoleKey, *, random: Random = secrets.token_bytes) -> Signer | None:
    """Load the key under which the console signs, after making it where it is missing and `create` is set.

    None where only its public half is here. Raises ConfigError as `open_audit_keys` does.
    """
    if key.file is None:
        return None
    return Signer(key.id, _open_private(SigningKey(key.id, key.file, create=key.create), random))


class PinnedKeys(Mapping[str, Ed25519PublicKey]):
    """The public keys of the console by id, each read once, when it is first there: the console makes its own.

    A key that was read counts until the process ends, whatever becomes of its file. The private half is never kept:
    it is looked at only where the public one does not stand beside it. A file that is amiss is no key.
    """

    def __init__(self, ring: Sequence[ConsoleKey]) -> None:
        self._ring = {key.id: key for key in ring}
        self._read: dict[str, Ed25519PublicKey] = {}
        for key_id in self._ring:
            self.get(key_id)

    def __getitem__(self, key_id: str) -> Ed25519PublicKey:
        """Return a key. Raises KeyError where there is none of this id, or none to be read yet."""
        if key_id not in self._read:
            try:
                self._read[key_id] = _console_public(self._ring[key_id])
            except ConfigError as error:
                raise KeyError(key_id) from error
        return self._read[key_id]

    def __iter__(self) -> Iterator[str]:
        """Go over the ids of keys that can be read."""
        return iter([key_id for key_id in self._ring if self.get(key_id) is not None])

    def __len__(self) -> int:
        return len(list(iter(self)))


def _console_public(key: ConsoleKey) -> Ed25519PublicKey:
    if key.file is None or key.public_file.exists():
        return load_public(key.public_file)
    return _load_private(key.file).public_key()


def load_ring(keys: Keys) -> Mapping[str, Ed25519PublicKey]:
    """Return the public keys of the audit chain's ring by id, from `.pub` files or private ones. Makes no key.

    Raises ConfigError where neither half of a key is there, or where the halves do not belong together.
    """
    _active(keys.audit_active, keys.audit)
    return {key.id: _public_half(key) for key in keys.audit}


def open_digest_key(file: Path, *, random: Random = secrets.token_bytes) -> bytes:
    """Return the 32 bytes under which masked values are hashed; the file is made where it is missing.

    Raises ConfigError on a file that does not hold 64 hexadecimal digits, or that others can read.
    """
    if not file.exists() and not file.is_symlink():
        create_private(file, random(DIGEST_KEY_BYTES).hex().encode() + b"\n")
    text = read_private(file).removesuffix(b"\n").removesuffix(b"\r")
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        raise ConfigError("expected 64 hexadecimal digits (`openssl rand -hex 32`)", where=str(file))
    return bytes.fromhex(text.decode("ascii"))


def open_ca_folder(folder: Path) -> Path:
    """Make or check the folder of the certificate authority: 0700, and what it holds is files of our own.

    Raises ConfigError.
    """
    private_folder(folder)
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            raise ConfigError("a symbolic link is not followed to secrets: put the file itself here", where=str(entry))
    return folder


def _active(active: str, ring: Sequence[SigningKey]) -> SigningKey:
    for key in ring:
        if key.id == active:
            return key
    raise ConfigError(f"no key of the ring has the id `{active}`")


def _open_private(key: SigningKey, random: Random) -> Ed25519PrivateKey:
    half = public_file(key)
    if not key.file.exists() and not key.file.is_symlink() and key.create:
        if half.exists():
            raise ConfigError(
                f"the private key is missing though `{half.name}` stands beside it: put it back, or add a key with a "
                "new id and make that one active",
                where=str(key.file),
            )
        create_private(key.file, _to_pem(Ed25519PrivateKey.from_private_bytes(random(32))))
    private = _load_private(key.file)
    if not half.exists() and not half.is_symlink():
        create_private(half, public_pem(private.public_key()), mode=0o644)
    return private


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return the PEM form (SubjectPublicKeyInfo, RFC 8410) that auditors are given."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_public(file: Path) -> Ed25519PublicKey:
    """Return the Ed25519 public key of a PEM file. Raises ConfigError."""
    try:
        loaded = serialization.load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(file)) from error
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("not a public key in PEM form", where=str(file)) from None
    if not isinstance(loaded, Ed25519PublicKey):
        raise ConfigError("not an Ed25519 key", where=str(file))
    return loaded


def _public_half(key: SigningKey) -> Ed25519PublicKey:
    half = public_file(key)
    if key.file.suffix == PUBLIC_SUFFIX or (half.exists() and not key.file.exists()):
        return load_public(half)
    public = _load_private(key.file).public_key()
    if half.exists() and public_pem(load_public(half)) != public_pem(public):
        raise ConfigError(f"is not the public half of `{key.file.name}`", where=str(half))
    return public


def _load_private(file: Path) -> Ed25519PrivateKey:
    data = read_private(file)
    try:
        loaded = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise ConfigError("the key is encrypted: store it without a passphrase, mode 0600", where=str(file)) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("not a private key in PEM form (PKCS #8)", where=str(file)) from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ConfigError("not an Ed25519 key (`openssl genpkey -algorithm ed25519`)", where=str(file))
    return loaded


def _to_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
