"""Reads `credential:` and `credentials:`: how the road to an upstream is opened."""

import re
from pathlib import Path

from holdpoint.located_yaml import Located
from holdpoint.settings import Credential, Fact, GroupsAs, ImpersonateAs, PerCall
from holdpoint.settings_file import schema
from holdpoint.settings_file.addresses import Url
from holdpoint.settings_file.places import Places, printable, read_name, read_set, refuse_inlined, seconds

MAIN = "main"
KINDS = ("none", "static", "service-account", "impersonate", "per-call")
LATER = ("eks", "aws", "token-exchange")
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its own token, and the certificate of the API server's authority (Kubernetes, "Access the API")."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PREFIX = re.compile(r"[\x20-\x7e]*")
_IDENTITY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,510}[\x21-\x7e])?")
_METHOD = re.compile(r"[a-z]+(?:/[A-Za-z_]+)*")
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


def authority_beside(credential: Credential, url: Url) -> Path | None:
    """Return the certificate of the authority that lies beside a pod's own token, None where there is none."""
    if credential.token_file is None or url.scheme == "http":
        return None
    file = credential.token_file.with_name("ca.crt")
    return file if file.is_file() else None


def _credential(value: Located, places: Places) -> Credential:
    kinds = {name: found for name, _, found in value.items()}
    if "kind" not in kinds:
        raise value.error(f"key `kind` is missing; write one of {', '.join(f'`{k}`' for k in KINDS)}")
    kind = kinds["kind"].text()
    if kind in LATER:
        known = ", ".join(f"`{k}`" for k in KINDS)
        raise kinds["kind"].error(f"credential kind `{kind}` is not in this version; choose one of {known}")
    refuse_inlined(value)
    match kinds["kind"].choice(*KINDS):
        case "none":
            schema.CREDENTIAL_NONE.read(value)
            return Credential("none")
        case "service-account":
            fields = schema.CREDENTIAL_SERVICE_ACCOUNT.read(value)
            return Credential("service-account", token_file=_token_file(fields.get("token_file"), value, places))
        case "impersonate":
            return _impersonate(value, places)
        case "per-call":
            return Credential("per-call", per_call=_per_call(value))
        case _:
            return _static(value, places)


def _static(value: Located, places: Places) -> Credential:
    fields = schema.CREDENTIAL_STATIC.read(value)
    header, prefix = fields.get("header"), fields.get("prefix")
    name = header.text() if header else "Authorization"
    if header and (not _TOKEN.fullmatch(name) or name.lower() in _FRAMING or name.lower().startswith("impersonate-")):
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


def _token_file(value: Located | None, whole: Located, places: Places) -> Path:
    file = places.path(value) if value else IN_CLUSTER / "token"
    if places.check_machine and not file.is_file():
        raise (value or whole).error(f"`{file}` does not exist: it is where the token of a service account is expected")
    return file


def _impersonate(value: Located, places: Places) -> Credential:
    fields = schema.CREDENTIAL_IMPERSONATE.read(value)
    source, file = fields.get("from"), fields.get("token_file")
    if source is not None and file is not None:
        raise file.error("the gateway's own token comes from one place: `from` or `token_file`")
    user, prefix, users = fields.get("user"), fields.get("user_prefix"), fields.get("users")
    uid, extra = fields.get("uid"), fields.get("extra")
    usual = ImpersonateAs()
    facts = frozenset(Fact(f.choice(*Fact)) for f in extra.elements()) if extra else usual.extra
    asked = ImpersonateAs(
        user="subject" if user and user.choice("person", "subject") == "subject" else "person",
        prefix=_prefix(prefix),
        users=_mapping(users),
        groups=_groups(fields.get("groups")),
        uid="subject" if uid and uid.choice("none", "subject") == "subject" else "none",
        extra=facts,
    )
    return Credential(
        "impersonate",
        source=places.secret(schema.SECRET, source),
        token_file=None if source is not None else _token_file(file, value, places),
        impersonate=asked,
    )


def _groups(value: Located | None) -> GroupsAs:
    if value is None:
        return GroupsAs()
    fields = schema.IMPERSONATE_GROUPS.read(value)
    allow, add = fields.get("allow"), fields.get("add")
    return GroupsAs(
        prefix=_prefix(fields.get("prefix")),
        allow=read_set(allow, "groups", printable) if allow else (),
        add=read_set(add, "groups", _identity) if add else (),
        map=_mapping(fields.get("map")),
    )


def _mapping(value: Located | None) -> dict[str, str]:
    if value is None:
        return {}
    found: dict[str, str] = {}
    for name, key, element in value.items():
        printable(key)
        found[name] = _identity(element)
    return found


def _prefix(value: Located | None) -> str:
    if value is None:
        return ""
    text = _identity(value)
    if text.startswith("system:"):
        raise value.error("`system:` is the API server's own: name such an identity in full, by a mapping")
    return text


def _identity(value: Located) -> str:
    if not _IDENTITY.fullmatch(value.text()):
        raise value.error("expected a name in printable ASCII, without blanks around it")
    return value.text()


def _per_call(value: Located) -> PerCall:
    fields = schema.CREDENTIAL_PER_CALL.read(value)
    methods = fields.get("methods")
    usual = PerCall(frozenset())
    return PerCall(
        targets=frozenset(read_set(fields["for"], "targets", lambda v: read_name(v, "a target"))),
        lifetime=seconds(fields.get("lifetime"), usual.lifetime, low=5, high=600),
        methods=frozenset(read_set(methods, "methods", _method)) if methods else usual.methods,
    )


def _method(value: Located) -> str:
    if not _METHOD.fullmatch(value.text()):
        raise value.error("expected a method of MCP such as `tools/call`")
    return value.text()
