"""Reads `issuers:` and `reviewers:`: whose word counts."""

import re
from collections.abc import Sequence
from pathlib import Path

from holdpoint.identity.service_accounts import CLAIM
from holdpoint.located_yaml import Located
from holdpoint.settings import Claims, Console, Issuer, Reviewers, Roles, TokenReview
from holdpoint.settings_file import schema
from holdpoint.settings_file.addresses import read_url
from holdpoint.settings_file.places import Places, printable, read_name, read_set, regular_file, seconds

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
DEFAULT_SCOPES = ("openid", "email", "profile")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*")
_SOMEONE = re.compile(r"(?:group|person):\S(?:.*\S)?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def read_issuers(value: Located, places: Places) -> tuple[Issuer, ...]:
    """Read every issuer; none at all is an error. Raises ConfigError."""
    elements = value.elements()
    if not elements:
        raise value.error("no issuer: nobody could be identified")
    issuers: list[Issuer] = []
    for element in elements:
        issuer = _issuer(element, places)
        if issuer.name in {known.name for known in issuers}:
            raise element.error(f"issuer `{issuer.name}` stands here twice")
        for known in issuers:
            if issuer.url == known.url:
                raise element.error(f"issuer `{known.name}` has this URL already: `iss` must tell them apart")
        issuers.append(issuer)
    return tuple(issuers)


def _issuer(value: Located, places: Places) -> Issuer:
    kind = {name: found for name, _, found in value.items()}.get("kind")
    if kind is not None and kind.choice("oidc", "kubernetes") == "kubernetes":
        return _cluster(value, places)
    fields = schema.ISSUER.read(value)
    name = read_name(fields["name"], "an issuer")
    jwks, types, clients = fields.get("jwks_url"), fields.get("types"), fields.get("clients")
    subjects, owners = _workloads(fields.get("workloads"))
    client_id, scopes = _login(fields.get("login"))
    return Issuer(
        name=name,
        url=read_url(fields["url"], what=f"issuer `{name}`").text,
        algorithms=frozenset(read_set(fields["algorithms"], "algorithms", _algorithm, required="algorithms")),
        audiences=frozenset(read_set(fields["audiences"], "audiences", printable, required="audiences")),
        jwks_url=read_url(jwks, what=f"the keys of issuer `{name}`").text if jwks else "",
        types=frozenset(read_set(types, "types", _type)) if types else frozenset({"at+jwt"}),
        clients=frozenset(read_set(clients, "clients", printable)) if clients else frozenset(),
        claims=_claims(fields.get("claims")),
        workload_subjects=subjects,
        owners=owners,
        max_lifetime=seconds(fields.get("max_lifetime"), 86_400.0, low=60, high=7 * 86_400),
        stale_for=seconds(fields.get("stale_for"), 3_600.0, low=0, high=86_400),
        login_client_id=client_id,
        login_scopes=scopes,
        ca_file=places.authority(fields.get("ca_file")),
    )


def _cluster(value: Located, places: Places) -> Issuer:
    """Read an issuer whose tokens are those of service accounts."""
    fields = schema.ISSUER_KUBERNETES.read(value)
    name = read_name(fields["name"], "an issuer")
    jwks, file, token = fields.get("jwks_url"), fields.get("jwks_file"), fields.get("token_file")
    algorithms, claims = fields.get("algorithms"), fields.get("claims")
    if jwks is not None and file is not None:
        raise file.error("the keys come from one place: `jwks_url` or `jwks_file`")
    if token is not None and file is not None:
        raise token.error("keys in a file are asked of nobody: take `token_file` out")
    expose = schema.CLAIMS_KUBERNETES.read(claims).get("expose") if claims else None
    subjects, owners = _workloads(fields.get("workloads"))
    return Issuer(
        name=name,
        url=read_url(fields["url"], what=f"issuer `{name}`").text,
        algorithms=frozenset(read_set(algorithms, "algorithms", _algorithm)) if algorithms else frozenset({"RS256"}),
        audiences=frozenset(read_set(fields["audiences"], "audiences", printable, required="audiences")),
        jwks_url=read_url(jwks, what=f"the keys of issuer `{name}`").text if jwks else "",
        # The API server writes no `typ`, which counts as this one.
        types=frozenset({"jwt"}),
        claims=Claims(expose=read_set(expose, "claims", printable) if expose else (CLAIM,)),
        workload_subjects=subjects,
        owners=owners,
        max_lifetime=seconds(fields.get("max_lifetime"), 86_400.0, low=60, high=7 * 86_400),
        stale_for=seconds(fields.get("stale_for"), 3_600.0, low=0, high=86_400),
        ca_file=places.authority(fields.get("ca_file")),
        kind="kubernetes",
        jwks_file=regular_file(file, places.path(file)) if file and places.check_machine else _path(file, places),
        token_file=_path(token, places),
        token_review=_token_review(fields.get("token_review"), name, places),
    )


def _path(value: Located | None, places: Places) -> Path | None:
    return places.path(value) if value else None


def _token_review(value: Located | None, issuer: str, places: Places) -> TokenReview | None:
    if value is None:
        return None
    fields = schema.TOKEN_REVIEW.read(value)
    return TokenReview(
        server=read_url(fields["server"], what=f"the API server of issuer `{issuer}`", path=False).text,
        ca_file=places.authority(fields.get("ca_file")),
        token_file=_path(fields.get("token_file"), places),
        every=seconds(fields.get("every"), 30.0, low=10, high=60),
    )


def _algorithm(value: Located) -> str:
    text = value.text()
    if text not in ALGORITHMS:
        raise value.error(f"algorithm `{text}` is not accepted; choose from {', '.join(f'`{a}`' for a in ALGORITHMS)}")
    return text


def _type(value: Located) -> str:
    text = value.text().lower().removeprefix("application/")
    if not _TYPE.fullmatch(text):
        raise value.error("expected a media type such as `at+jwt` or `JWT`")
    return text


def _claims(value: Located | None) -> Claims:
    if value is None:
        return Claims()
    fields = schema.CLAIMS.read(value)
    usual = Claims()

    def claim(key: str, default: str) -> str:
        found = fields.get(key)
        return printable(found) if found else default

    expose = fields.get("expose")
    return Claims(
        person=claim("person", usual.person),
        groups=claim("groups", usual.groups),
        name=claim("name", usual.name),
        client_id=claim("client_id", usual.client_id),
        expose=read_set(expose, "claims", printable) if expose else (),
    )


def _workloads(value: Located | None) -> tuple[tuple[str, ...], dict[str, frozenset[str]]]:
    if value is None:
        return (), {}
    fields = schema.WORKLOADS.read(value)
    subjects = read_set(fields["subjects"], "subjects", printable)
    owners: dict[str, frozenset[str]] = {}
    declared = fields.get("owners")
    if declared is not None:
        for glob, key, persons in declared.items():
            printable(key)
            owners[glob] = frozenset(read_set(persons, "persons", printable))
    return subjects, owners


def _login(value: Located | None) -> tuple[str, tuple[str, ...]]:
    if value is None:
        return "", DEFAULT_SCOPES
    fields = schema.LOGIN.read(value)
    scopes = fields.get("scopes")
    names = read_set(scopes, "scopes", _scope) if scopes else DEFAULT_SCOPES
    if "openid" not in names:
        raise (scopes or value).error("scope `openid` is missing: without it there is no ID token to approve with")
    return printable(fields["client_id"]), names


def _scope(value: Located) -> str:
    if not _SCOPE.fullmatch(value.text()):
        raise value.error("expected one scope each, without blanks")
    return value.text()


def read_reviewers(value: Located | None, issuers: Sequence[Issuer], console: Console | None) -> Reviewers:
    """Read whose ID tokens count as a reviewer's. Raises ConfigError."""
    has_key = console is not None and bool(console.signing)
    if value is None:
        return Reviewers(signed=has_key)
    fields = schema.REVIEWERS.read(value)
    named, signed, confirm = fields.get("issuers"), fields.get("signed"), fields.get("confirm")

    def issuer(element: Located) -> str:
        name = known_issuer(element, issuers)
        has_console = console is not None and console.issuer == name
        if not has_console and name not in {i.name for i in issuers if i.login_client_id}:
            raise element.error(f"nobody can log in at issuer `{name}`: give it `login`, or make it the console's")
        return name

    return Reviewers(
        issuers=frozenset(read_set(named, "issuers", issuer)) if named else frozenset(),
        max_age=seconds(fields.get("max_age"), 43_200.0, low=60, high=7 * 86_400),
        signed=signed.choice("required", "optional") == "required" if signed else has_key,
        confirm="login" if confirm and confirm.choice("session", "login") == "login" else "session",
        roles=_roles(fields.get("roles")),
    )


def _roles(value: Located | None) -> Roles:
    if value is None:
        return Roles()
    fields = schema.REVIEWERS_ROLES.read(value)
    auditor, admin = fields.get("auditor"), fields.get("admin")
    return Roles(
        auditor=frozenset(read_set(auditor, "auditor", _someone)) if auditor else frozenset(),
        admin=frozenset(read_set(admin, "admin", _someone)) if admin else frozenset(),
    )


def _someone(value: Located) -> str:
    text = printable(value)
    if not _SOMEONE.fullmatch(text):
        raise value.error("expected `group:NAME` or `person:NAME`")
    return text


def known_issuer(value: Located, issuers: Sequence[Issuer]) -> str:
    """Read the name of an issuer that this file declares. Raises ConfigError."""
    name = value.text()
    if name not in {issuer.name for issuer in issuers}:
        raise value.error(f"no issuer is named `{name}`")
    return name
