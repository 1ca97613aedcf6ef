"""Reads `credential:` and `credentials:`: how the road to an upstream is opened."""

import re

from holdpoint.located_yaml import Located
from holdpoint.settings import Credential
from holdpoint.settings_file import schema
from holdpoint.settings_file.places import Places, read_name, refuse_inlined

MAIN = "main"
LATER = ("eks", "aws", "impersonate", "service-account", "token-exchange")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PREFIX = re.compile(r"[\x20-\x7e]*")
_FRAMING = frozenset(
    (
        *("host", "connection", "content-length", "content-type", "content-encoding"),
        *("transfer-encoding", "te", "trailer", "upgrade", "expect"),
        *("keep-alive", "proxy-connection", "proxy-authorization", "accept", "accept-encoding"),
        *("cookie", "mcp-session-id", "mcp-protocol-version"),
    )
)
"""Headers that say how a message is read, or that the protocol itself uses: never a credential's."""


def read_credentials(main: Located, others: Located | None, places: Places) -> dict[str, Credential]:
    """Read the main credential and those that rules may name. Raises ConfigError."""
    found = {MAIN: _credential(main, places)}
    if others is not None:
        for name, key, value in others.items():
            if read_name(key, "a credential") == MAIN:
                raise key.error("`main` is the one under `credential`")
            found[name] = _credential(value, places)
    return found


def _credential(value: Located, places: Places) -> Credential:
    kinds = {name: found for name, _, found in value.items()}
    if "kind" not in kinds:
        raise value.error("key `kind` is missing; write `none` or `static`")
    kind = kinds["kind"].text()
    if kind in LATER:
        raise kinds["kind"].error(f"credential kind `{kind}` is not in this version; choose `static` or `none`")
    if kinds["kind"].choice("none", "static") == "none":
        schema.CREDENTIAL_NONE.read(value)
        return Credential("none")
    refuse_inlined(value)
    fields = schema.CREDENTIAL_STATIC.read(value)
    header, prefix = fields.get("header"), fields.get("prefix")
    name = header.text() if header else "Authorization"
    if header and (not _TOKEN.fullmatch(name) or name.lower() in _FRAMING):
        raise header.error("not the name of a header that may carry a credential")
    default = "Bearer " if name.lower() == "authorization" else ""
    if prefix and not _PREFIX.fullmatch(prefix.text()):
        raise prefix.error("a prefix is printable ASCII such as `Bearer `")
    return Credential(
        kind="static",
        header=name,
        prefix=prefix.text() if prefix else default,
        source=places.secret(schema.SECRET, fields["from"]),
    )
