"""Secrets as values that cannot be printed by accident, and where they come from."""

import hmac
import re
from collections.abc import Mapping
from typing import NoReturn

from holdpoint.domain.refusal import ConfigError
from holdpoint.private_files import read_private
from holdpoint.settings import SecretSource

_BAD = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Secret:
    """A secret text. Only `reveal` gives it away; printing, formatting and pickling do not."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself. Never log, store or raise what this returns."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


def read_secret(source: SecretSource, environ: Mapping[str, str]) -> Secret:
    """Read a secret from its environment variable or file; one newline at the end of a file is not part of it.

    Raises ConfigError where it is missing, empty, not text, or holds a control character, and for a file also what
    `read_private` refuses. The message never holds the value.
    """
    if (source.file is None) == (not source.env):
        raise ConfigError("a secret comes from exactly one of `env` and `file`")
    if source.file is None:
        where, value = f"environment variable `{source.env}`", environ.get(source.env)
        if value is None:
            raise ConfigError("is not set", where=where)
        # The environment is text by the machine's locale; what it could not read became lone surrogates.
        raw = value.encode("utf-8", "surrogateescape")
    else:
        where, raw = str(source.file), read_private(source.file)
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = raw.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise ConfigError("the secret is not UTF-8 text", where=where) from None
    if not text.strip():
        raise ConfigError("the secret is empty", where=where)
    if _BAD.search(text):
        raise ConfigError("the secret holds a control character or a line break", where=where)
    if text != text.strip():
        raise ConfigError("the secret begins or ends with a blank", where=where)
    return Secret(text)
