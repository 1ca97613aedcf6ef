"""Which keys `gateway.yaml` has, and where. The readers take them from here, and so does the test of the reference."""

from collections.abc import Iterator
from dataclasses import dataclass

from holdpoint.located_yaml import Fields, Located


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys of one mapping."""

    path: str
    """Where it stands: `issuers[].claims`; `<name>` takes the place of names of one's own."""
    required: frozenset[str]
    optional: frozenset[str] = frozenset()

    def read(self, value: Located) -> Fields:
        """Return the values by key. Raises ConfigError on an unknown, missing or duplicate key."""
        return value.fields(required=self.required, optional=self.optional)

    def keys(self) -> Iterator[str]:
        """Yield every key with its path, as the reference names it."""
        for key in sorted(self.required | self.optional):
            yield f"{self.path}.{key}" if self.path else key


def _shape(path: str, required: str, optional: str = "") -> Shape:
    return Shape(path, frozenset(required.split()), frozenset(optional.split()))


GATEWAY = _shape(
    "",
    "apiVersion kind listeners keys issuers targets policies store recordings admin",
    "reviewers console metrics otlp notices",
)
LISTENER = _shape("listeners[]", "name mode listen", "url tls")
LISTENER_TLS = _shape("listeners[].tls", "certificate key")
KEYS = _shape("keys", "ca audit digest", "calls")
CA = _shape("keys.ca", "folder")
AUDIT = _shape("keys.audit", "active ring")
RING = _shape("keys.audit.ring[]", "id file", "create")
DIGEST = _shape("keys.digest", "file")
CALLS = _shape("keys.calls", "active ring")
CALLS_RING = _shape("keys.calls.ring[]", "id file", "create")
ISSUER = _shape(
    "issuers[]",
    "name url algorithms audiences",
    "kind jwks_url types clients claims workloads max_lifetime stale_for login ca_file",
)
ISSUER_KUBERNETES = _shape(
    "issuers[]",
    "name url audiences kind",
    "algorithms jwks_url jwks_file token_file token_review claims workloads max_lifetime stale_for ca_file",
)
CLAIMS_KUBERNETES = _shape("issuers[].claims", "", "expose")
TOKEN_REVIEW = _shape("issuers[].token_review", "server", "ca_file token_file every")
CLAIMS = _shape("issuers[].claims", "", "person groups name client_id expose")
WORKLOADS = _shape("issuers[].workloads", "subjects", "owners")
LOGIN = _shape("issuers[].login", "client_id", "scopes")
TARGET = _shape(
    "targets[]",
    "name protocol url credential",
    "routes hosts audiences issuers scopes origins mode credentials ca_file limits record hold lists masks pins "
    "warnings unlinked",
)
CREDENTIAL_NONE = _shape("targets[].credential", "kind")
CREDENTIAL_STATIC = _shape("targets[].credential", "kind from", "header prefix")
CREDENTIAL_SERVICE_ACCOUNT = _shape("targets[].credential", "kind", "token_file")
CREDENTIAL_IMPERSONATE = _shape(
    "targets[].credential", "kind", "from token_file user user_prefix users groups uid extra"
)
IMPERSONATE_GROUPS = _shape("targets[].credential.groups", "", "prefix allow add map")
CREDENTIAL_PER_CALL = _shape("targets[].credential", "kind for", "lifetime methods")
SECRET = _shape("targets[].credential.from", "", "env file")
LIMITS = _shape("targets[].limits", "", "request response answer")
RECORD = _shape("targets[].record", "", "bodies stdin")
PINS = _shape("targets[].pins", "mode", "file")
HOLD = _shape("targets[].hold", "", "wait leg grace keepalive rounds ladder")
LISTS = _shape("targets[].lists", "", "ttl")
STORE = _shape("store", "", "path postgres")
POSTGRES = _shape("store.postgres", "url", "schema ca_file")
POSTGRES_URL = _shape("store.postgres.url", "", "env file")
RECORDINGS = _shape("recordings", "folder", "idle checkpoint")
ADMIN = _shape("admin", "socket")
REVIEWERS = _shape("reviewers", "", "issuers max_age signed confirm roles")
REVIEWERS_ROLES = _shape("reviewers.roles", "", "auditor admin")
CONSOLE = _shape("console", "listen issuer client_id", "url client_secret tls signing")
CONSOLE_SIGNING = _shape("console.signing", "id", "file create public_file older")
CONSOLE_OLDER = _shape("console.signing.older[]", "id public_file")
CONSOLE_TLS = _shape("console.tls", "certificate key")
CONSOLE_SECRET = _shape("console.client_secret", "", "env file")
METRICS = _shape("metrics", "listen", "tls")
METRICS_TLS = _shape("metrics.tls", "certificate key")
OTLP = _shape("otlp", "endpoint", "sample")
NOTICES_WEBHOOK = _shape("notices[]", "name kind for url secret", "events targets ca_file")
NOTICES_SECRET = _shape("notices[].secret", "", "env file")
NOTICES_SLACK = _shape(
    "notices[]", "name kind for", "webhook_url token channel api_url signing_secret team people events targets ca_file"
)
NOTICES_WEBHOOK_URL = _shape("notices[].webhook_url", "", "env file")
NOTICES_TOKEN = _shape("notices[].token", "", "env file")
NOTICES_SIGNING_SECRET = _shape("notices[].signing_secret", "", "env file")
NOTICES_PERSON = _shape("notices[].people.<user>", "person", "issuer groups")
NOTICES_APPRISE = _shape("notices[]", "name kind for url", "events targets")
NOTICES_URL = _shape("notices[].url", "", "env file")

SHAPES = (
    *(GATEWAY, LISTENER, LISTENER_TLS, KEYS, CA, AUDIT, RING, DIGEST, CALLS, CALLS_RING),
    *(ISSUER, ISSUER_KUBERNETES, CLAIMS, CLAIMS_KUBERNETES, WORKLOADS, LOGIN, TOKEN_REVIEW),
    *(CREDENTIAL_SERVICE_ACCOUNT, CREDENTIAL_IMPERSONATE, IMPERSONATE_GROUPS, CREDENTIAL_PER_CALL),
    *(TARGET, CREDENTIAL_NONE, CREDENTIAL_STATIC, SECRET, LIMITS, RECORD, HOLD, LISTS, PINS),
    *(STORE, POSTGRES, POSTGRES_URL, RECORDINGS, ADMIN, REVIEWERS, REVIEWERS_ROLES),
    *(CONSOLE, CONSOLE_TLS, CONSOLE_SECRET, CONSOLE_SIGNING, CONSOLE_OLDER),
    *(METRICS, METRICS_TLS, OTLP),
    *(NOTICES_WEBHOOK, NOTICES_SECRET, NOTICES_SLACK, NOTICES_WEBHOOK_URL, NOTICES_TOKEN, NOTICES_SIGNING_SECRET),
    *(NOTICES_PERSON, NOTICES_APPRISE, NOTICES_URL),
)
