"""Reads what the sections share: names, lists, paths and the places of secrets."""

import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import Located
from holdpoint.private_files import read_private
from holdpoint.secrets import read_secret
from holdpoint.settings import ListenerTls, SecretSource
from holdpoint.settings_file.schema import Shape

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ENV = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_NOT_HERE = "a secret never stands in this file: write `{env: NAME}` or `{file: PATH}`"
_INLINED = frozenset({"value", "secret", "token", "password", "literal", "data", "plain"})


@dataclass(frozen=True, slots=True)
class Places:
    """Where relative paths start, and whether what they lead to is looked at."""

    folder: Path
    """Folder of the YAML file."""
    environ: Mapping[str, str]
    check_machine: bool
    """Whether secrets, keys and certificates must be here and fit."""

    def path(self, value: Located) -> Path:
        """Read a path, relative to the YAML file. Raises ConfigError."""
        text = value.text()
        if not text.strip() or not text.isprintable():
            raise value.error("expected a path")
        if text.startswith("~") or "$" in text:
            raise value.error(
                "`~` and variables are not expanded: write the path out, absolute or relative to this file"
            )
        parts = [p for p in (self.folder / text).parts if p != "."]
        # Lexical, as a reader reads it; the folder itself was resolved before.
        clean: list[str] = []
        for part in parts:
            if part == ".." and len(clean) > 1:
                clean.pop()
            elif part != "..":
                clean.append(part)
        return Path(*clean)

    def authority(self, value: Located | None) -> Path | None:
        """Read the path of a PEM file of certificate authorities. Raises ConfigError."""
        if value is None:
            return None
        file = self.path(value)
        if self.check_machine:
            self._certificates(value, file)
        return file

    def tls(self, shape: Shape, value: Located | None) -> ListenerTls | None:
        """Read certificate and key of a listener. Raises ConfigError where they do not belong together."""
        if value is None:
            return None
        fields = shape.read(value)
        tls = ListenerTls(self.path(fields["certificate"]), self.path(fields["key"]))
        if self.check_machine:
            leaf = self._certificates(fields["certificate"], tls.certificate)[0]
            key = _at(fields["key"], lambda: read_private(tls.key))
            try:
                private = serialization.load_pem_private_key(key, password=None)
            except (ValueError, TypeError):
                raise fields["key"].error("not a private key in PEM form without a passphrase") from None
            if _spki(private.public_key()) != _spki(leaf.public_key()):
                raise fields["key"].error("the key does not belong to the certificate")
        return tls

    def secret(self, shape: Shape, value: Located | None) -> SecretSource | None:
        """Read where a secret comes from, never the secret. Raises ConfigError."""
        if value is None:
            return None
        if not value.is_mapping:
            raise value.error(_NOT_HERE)
        refuse_inlined(value)
        fields = shape.read(value)
        env, file = fields.get("env"), fields.get("file")
        if (env is None) == (file is None):
            raise value.error("a secret comes from exactly one of `env` and `file`")
        if env is not None:
            if not _ENV.fullmatch(env.text()):
                # NOTE: what stands here may be the secret itself, and is not repeated.
                raise env.error("not the name of an environment variable (capital letters, digits, `_`)")
            source = SecretSource(env=env.text())
        else:
            source = SecretSource(file=self.path(file or value))
        if self.check_machine:
            _at(env or file or value, lambda: read_secret(source, self.environ))
        return source

    def _certificates(self, value: Located, file: Path) -> list[x509.Certificate]:
        regular_file(value, file)
        try:
            return x509.load_pem_x509_certificates(file.read_bytes())
        except OSError as error:
            raise value.error(f"`{file}` cannot be read: {error.strerror}") from error
        except ValueError:
            raise value.error(f"`{file}` holds no certificate in PEM form") from None


def refuse_inlined(value: Located) -> None:
    """Refuse keys under which people write secrets out. Raises ConfigError."""
    for name, key, _ in value.items():
        if name.lower() in _INLINED:
            raise key.error(_NOT_HERE)


def regular_file(value: Located, file: Path) -> Path:
    """Check that a file is there. Raises ConfigError."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise value.error(f"`{file}` cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise value.error(f"`{file}` is not a file")
    return file


def _at[T](value: Located, read: Callable[[], T]) -> T:
    """Let an error name the line that asked, beside the file it was found in."""
    try:
        return read()
    except ConfigError as error:
        raise value.error(str(error)) from error


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_name(value: Located, what: str) -> str:
    """Read a name: lower-case letters, digits and inner hyphens, at most 63. Raises ConfigError."""
    text = value.text()
    if not NAME.fullmatch(text):
        raise value.error(f"`{text}` is no name of {what}: lower-case letters, digits and inner hyphens, at most 63")
    return text


def read_set(value: Located, what: str, read: Callable[[Located], str], *, required: str = "") -> tuple[str, ...]:
    """Read a list that holds something, and nothing twice. Raises ConfigError.

    `required` is the key of one that cannot be left out: empty, it is missing.
    """
    elements = value.elements()
    if not elements and required:
        raise value.error(f"key `{required}` is missing: an empty list names nothing, name at least one")
    if not elements:
        raise value.error(f"an empty list of {what} accepts nothing: name at least one, or leave the key out")
    found: dict[str, None] = {}
    for element in elements:
        text = read(element)
        if text in found:
            raise element.error(f"`{text}` stands here twice")
        found[text] = None
    return tuple(found)


def printable(value: Located) -> str:
    """Read a text that is not empty and holds neither blanks at its ends nor control characters. Raises ConfigError."""
    text = value.text()
    if not text or text != text.strip() or not text.isprintable():
        raise value.error("expected text without control characters, and without blanks around it")
    return text


def seconds(value: Located | None, default: float, *, low: float, high: float) -> float:
    """Read a duration within bounds (seconds). Raises ConfigError."""
    if value is None:
        return default
    found = value.duration()
    if not low <= found <= high:
        raise value.error(f"expected a duration from {_human(low)} to {_human(high)}")
    return found


def _human(duration: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if duration >= length and duration % length == 0:
            return f"{duration / length:.0f}{unit}"
    return f"{duration:.0f}s"
