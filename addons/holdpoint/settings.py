"""What `gateway.yaml` says, as frozen types. `holdpoint.settings_file` reads it; nothing else does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from holdpoint.domain.access import Protocol
from holdpoint.domain.notice import Audience, NoticeEvent


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    """An IP address or `localhost`; empty: every interface."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host or '*'}:{self.port}"


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """Certificate chain and key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Listener:
    """An entry: `reverse` serves routes, `forward` serves CONNECT for `HTTPS_PROXY` with TLS intercepted."""

    name: str
    mode: Literal["reverse", "forward"]
    address: Address
    tls: ListenerTls | None = None
    url: str = ""
    """Base URL that clients use, without a trailing slash; always set when read from a file."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret comes from: exactly one of the two, never the YAML itself."""

    file: Path | None = None
    env: str = ""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key by id, PEM (PKCS #8), mode 0600."""

    id: str
    file: Path
    create: bool = False
    """Make it at first start where it is missing."""


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys, by purpose."""

    ca_folder: Path
    """Folder of its own, 0700, of the certificate authority of forward listeners."""
    audit_active: str
    """Id of the key that signs heads of the audit chain."""
    audit: tuple[SigningKey, ...]
    """The ring: the active one and those whose signatures are still to be verified."""
    digest_file: Path
    """File of the key (32 random bytes, hexadecimal) under which masked values are hashed; made at first start."""
    calls_active: str = ""
    """Id of the key that signs tokens of calls; empty: none are made."""
    calls: tuple[SigningKey, ...] = ()
    """The ring: the active one and those whose tokens may still be under way."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Which claim says what. Dotted names reach into objects."""

    person: str = "email"
    groups: str = "groups"
    name: str = "name"
    client_id: str = "client_id"
    expose: tuple[str, ...] = ()
    """Claims that policies may read as `principal.claims`."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OIDC issuer whose access tokens count."""

    name: str
    url: str
    """Exactly as in `iss`. https, or http on loopback."""
    algorithms: frozenset[str]
    audiences: frozenset[str]
    """Audiences that any target accepts; a target may name its own instead."""
    jwks_url: str = ""
    """Default: by discovery."""
    types: frozenset[str] = frozenset({"at+jwt"})
    """Allowed `typ` headers, lower case, without `application/`."""
    clients: frozenset[str] = frozenset()
    """Allowed `client_id` or `azp`; empty: any."""
    claims: Claims = field(default_factory=Claims)
    workload_subjects: tuple[str, ...] = ()
    """Globs of `sub` that name workloads; everything else is human."""
    owners: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Glob of a workload's `sub` to the persons who answer for it."""
    max_lifetime: float = 86_400.0
    """Seconds between `iat` and `exp` at most."""
    stale_for: float = 3_600.0
    """Seconds for which keys stay good when the issuer cannot be reached."""
    login_client_id: str = ""
    """Public client for `holdpoint login`; empty: no login by this issuer."""
    login_scopes: tuple[str, ...] = ("openid", "email", "profile")
    ca_file: Path | None = None
    """PEM of the authority to trust for this issuer, beside the system's."""
    kind: Literal["oidc", "kubernetes"] = "oidc"
    """`kubernetes`: a cluster, whose tokens are those of service accounts."""
    jwks_file: Path | None = None
    """The keys themselves, in place of a URL."""
    token_file: Path | None = None
    """Bearer token with which the keys are asked for, sent to the issuer's own origin only."""
    token_review: "TokenReview | None" = None


@dataclass(frozen=True, slots=True)
class TokenReview:
    """An API server that is asked whether a token still counts: its pod or service account may be gone."""

    server: str
    """URL without a path."""
    ca_file: Path | None = None
    token_file: Path | None = None
    every: float = 30.0
    """Seconds for which an answer is believed."""


class TargetMode(StrEnum):
    """Whether a target's decisions bind."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


@dataclass(frozen=True, slots=True)
class GroupsAs:
    """Which groups of a principal become groups upstream, and how they are called there."""

    prefix: str = ""
    allow: tuple[str, ...] = ()
    """Globs of groups, as the issuer names them, that are sent; empty: none."""
    add: tuple[str, ...] = ()
    """Groups that everybody gets, exactly as written."""
    map: Mapping[str, str] = field(default_factory=dict[str, str])
    """Group as the issuer names it to its name upstream, exactly as written."""


class Fact(StrEnum):
    """What an upstream is told beside whom it serves, in `Impersonate-Extra-Holdpoint-*`."""

    PRINCIPAL = "principal"
    """Issuer and subject of who really asks."""
    ACTOR = "actor"
    """The agent or server that acts for him, and those before it."""
    EXCHANGE = "exchange"
    APPROVAL = "approval"
    CALL = "call"
    """The tool call that a request serves."""


@dataclass(frozen=True, slots=True)
class ImpersonateAs:
    """Whom a Kubernetes API server is to take a principal for."""

    user: Literal["person", "subject"] = "person"
    prefix: str = ""
    users: Mapping[str, str] = field(default_factory=dict[str, str])
    """Person or subject to the user's name upstream, exactly as written."""
    groups: GroupsAs = field(default_factory=GroupsAs)
    uid: Literal["none", "subject"] = "none"
    extra: frozenset[Fact] = frozenset({Fact.PRINCIPAL, Fact.ACTOR, Fact.EXCHANGE, Fact.APPROVAL, Fact.CALL})


@dataclass(frozen=True, slots=True)
class PerCall:
    """Which targets the token of a tool call opens, and for how long."""

    targets: frozenset[str]
    lifetime: float = 120.0
    """Seconds."""
    methods: frozenset[str] = frozenset({"tools/call"})
    """MCP methods that get a token of their own; all others are sent without one."""


@dataclass(frozen=True, slots=True)
class Credential:
    """How the road to an upstream is opened."""

    kind: Literal["none", "static", "service-account", "impersonate", "per-call"]
    header: str = "Authorization"
    prefix: str = "Bearer "
    source: SecretSource | None = None
    token_file: Path | None = None
    """A token that is replaced from time to time (`service-account`, `impersonate`)."""
    impersonate: ImpersonateAs | None = None
    per_call: PerCall | None = None


PREVIEW = "preview"
"""Name of the credential by which a Kubernetes target opts in to previews: no request of a caller is sent with it."""


class Unlinked(StrEnum):
    """What becomes of a request to a Kubernetes target that serves no tool call by a token of the gateway's own."""

    DENY = "deny"
    HUMANS = "humans"
    """People for whom no agent acts go on to policy."""
    POLICY = "policy"
    """Policy alone decides."""


class Warn(StrEnum):
    """What the callers of a Kubernetes target are told in `Warning` headers, which kubectl prints."""

    RECORDED = "recorded"
    MASKED = "masked"
    APPROVED = "approved"


class PinMode(StrEnum):
    """What makes a definition of a tool an approved one."""

    OFF = "off"
    FIRST_SIGHT = "first-sight"
    """It was the first that the server gave, or an operator approved it."""
    FILE = "file"
    """It stands in the pin file."""


@dataclass(frozen=True, slots=True)
class Pins:
    """How the tools of an MCP target are pinned."""

    mode: PinMode = PinMode.FIRST_SIGHT
    file: Path | None = None
    """The pin file, with mode `file`."""


class Rung(StrEnum):
    """A way for a held caller to wait. docs/reference/hold-ladder.md says who gets which."""

    MULTI_ROUND_TRIP = "multi-round-trip"
    """2026-07-28: asked to come back with a sealed state, again and again."""
    ELICITATION = "elicitation"
    """The caller's user is shown where the request is reviewed."""
    EVENTS = "events"
    """An event stream that is kept alive until the answer comes."""
    TICKET = "ticket"
    """Told to make the same call again. What every other rung ends with."""


@dataclass(frozen=True, slots=True)
class Hold:
    """How a target's held callers wait. Durations in seconds."""

    wait: float = 50.0
    """How long one is kept on the line before it gets a ticket. The SDKs of MCP give up at 60."""
    leg: float = 45.0
    """The same, for one round of several."""
    grace: float = 2.0
    """How long one is kept on the line as if nothing were held, before anything of the hold shows."""
    keepalive: float = 10.0
    """Between two signs of life on an event stream."""
    rounds: int = 9
    """How often a caller is asked to come back before it gets a ticket. The SDKs of MCP give up after 10."""
    ladder: frozenset[Rung] = frozenset(Rung)
    """Rungs that may be used; `ticket` always is."""


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream and everything about the road to it."""

    name: str
    protocol: Protocol
    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    """Base path of the upstream, without a trailing slash (empty: the root): the route's prefix is replaced by it."""
    routes: tuple[str, ...] = ()
    """Path prefixes on reverse listeners."""
    hosts: tuple[str, ...] = ()
    """Host names, lower case: on reverse listeners by `Host`, on forward listeners by CONNECT with the upstream's port.

    The upstream's own host and port are always one more on forward listeners, and never on reverse ones.
    """
    audiences: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    """Names of the issuers whose tokens it takes; empty: all."""
    scopes: frozenset[str] = frozenset()
    """What clients are told to ask for when they log in. Whether a token needs them, rules say."""
    origins: frozenset[str] = frozenset()
    """Origins, beside the gateway's own, whose pages may call from a browser: `https://app.example.com`, or `null`."""
    mode: TargetMode = TargetMode.ENFORCE
    credentials: Mapping[str, Credential] = field(default_factory=dict[str, Credential])
    """`main`, and others that rules may name."""
    ca_file: Path | None = None
    request_bytes: int = 8 << 20
    response_bytes: int = 32 << 20
    """Largest answer that is read whole."""
    answer_wait: float = 60.0
    """Seconds without a byte of an answer that is read whole, once it has begun; ten times that for all of it."""
    record_bodies: bool = True
    record_stdin: bool = False
    """Whether what is typed into a tunnel is kept, sealed. Otherwise it is counted."""
    hold: Hold = field(default_factory=Hold)
    masks: tuple[str, ...] = ()
    """Mask profiles that always apply."""
    lists_ttl: float = 0.0
    """Seconds for which a client may keep a list (MCP, `ttlMs`), at most."""
    pins: Pins = field(default_factory=Pins)
    warnings: frozenset[Warn] = frozenset({Warn.MASKED, Warn.APPROVED})
    """Kubernetes: what callers are warned of."""
    unlinked: Unlinked = Unlinked.POLICY


@dataclass(frozen=True, slots=True)
class Postgres:
    """A store that several gateways share."""

    url: SecretSource
    """`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`."""
    schema: str = "holdpoint"
    ca_file: Path | None = None
    """PEM of the authority to trust for this server, in place of the system's."""


@dataclass(frozen=True, slots=True)
class Recordings:
    """Where flow files and the audit log go."""

    folder: Path
    idle: float = 900.0
    """Seconds without a request after which a session ends."""
    checkpoint: float = 10.0
    """Seconds between signed heads, at most."""


@dataclass(frozen=True, slots=True)
class ConsoleKey:
    """An Ed25519 key under which the console signs decisions, by id."""

    id: str
    public_file: Path
    """PEM of the half that verifies."""
    file: Path | None = None
    """PEM (PKCS #8) of the half that signs, mode 0600; None: this machine has only the other."""
    create: bool = False
    """Make it at the console's first start where it is missing."""


@dataclass(frozen=True, slots=True)
class Console:
    """The reviewers' web app."""

    address: Address
    url: str
    """Base URL that reviewers use, for links and the OIDC redirect."""
    issuer: str
    """Name of the issuer that reviewers log in at."""
    client_id: str
    client_secret: SecretSource | None = None
    """None: a public client, PKCE alone."""
    tls: ListenerTls | None = None
    signing: tuple[ConsoleKey, ...] = ()
    """Keys whose signatures under decisions count. The first one signs; empty: nothing is signed."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where Prometheus scrapes, at `/metrics`."""

    address: Address
    tls: ListenerTls | None = None


@dataclass(frozen=True, slots=True)
class Otlp:
    """An OpenTelemetry collector (OTLP over HTTP)."""

    endpoint: str
    """Base URL, without `/v1/traces`."""
    sample: float = 1.0
    """Part of the traces that is exported, where the caller's trace does not say."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Who sees and ends more than what they are asked about. No role approves anything."""

    auditor: frozenset[str] = frozenset()
    """`group:NAME` or `person:NAME` of those who see every request, grant and session."""
    admin: frozenset[str] = frozenset()
    """Of those who also revoke any grant and suspend anybody."""

    def of(self, names: frozenset[str]) -> frozenset[str]:
        """Return the roles of somebody with these names: `auditor`, and for an admin `admin` and `auditor`."""
        if names & self.admin:
            return frozenset({"auditor", "admin"})
        return frozenset({"auditor"}) if names & self.auditor else frozenset()


@dataclass(frozen=True, slots=True)
class Reviewers:
    """Whose word counts, beside what each rule says."""

    issuers: frozenset[str] = frozenset()
    """Names of issuers whose ID tokens reviewers may present; empty: all that have a login."""
    max_age: float = 43_200.0
    """Seconds since the reviewer's ID token was issued, at most."""
    signed: bool = False
    """Whether every approval has to be signed, by the console's key or by the reviewer's own issuer."""
    confirm: Literal["session", "login"] = "session"
    """Whether who confirms a decision at the issuer has to log in there again."""
    roles: Roles = Roles()


@dataclass(frozen=True, slots=True)
class SlackUser:
    """Who a user of Slack is, as the operator says."""

    person: str
    issuer: str = ""
    """URL of the issuer that the groups are of; for the record."""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sink:
    """Where notices go."""

    name: str
    kind: Literal["webhook", "slack", "apprise"]
    audience: Audience
    events: frozenset[NoticeEvent]
    targets: frozenset[str] = frozenset()
    """Names of the targets that it is told of; empty: all, and what concerns none."""
    url: str = ""
    """Of a webhook; of a Slack sink with a token, the API's."""
    secrets: tuple[SecretSource, ...] = ()
    """Of a webhook: each signs."""
    address: SecretSource | None = None
    """Where the URL itself is a secret: Slack's incoming webhook, an apprise URL."""
    token: SecretSource | None = None
    channel: str = ""
    signing_secret: SecretSource | None = None
    """With which Slack signs what its users press."""
    team: str = ""
    """The only Slack workspace whose users `people` means; empty: whichever signs."""
    people: Mapping[str, SlackUser] = field(default_factory=dict[str, SlackUser])
    """Slack user id to who that is."""
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of `gateway.yaml`, checked."""

    file: Path
    listeners: tuple[Listener, ...]
    keys: Keys
    issuers: tuple[Issuer, ...]
    targets: tuple[Target, ...]
    policies: tuple[Path, ...]
    store: Path | Postgres
    """The file of an embedded store, or the database that several gateways share."""
    recordings: Recordings
    admin_socket: Path
    reviewers: Reviewers = field(default_factory=Reviewers)
    console: Console | None = None
    metrics: Metrics | None = None
    otlp: Otlp | None = None
    notices: tuple[Sink, ...] = ()
    cautions: tuple[str, ...] = ()
    """What its writer may not mean: told at start, and refused by nobody."""

    def issuer(self, name: str) -> Issuer:
        """Return the issuer of that name. Raises KeyError."""
        return {i.name: i for i in self.issuers}[name]

    def target(self, name: str) -> Target:
        """Return the target of that name. Raises KeyError."""
        return {t.name: t for t in self.targets}[name]
