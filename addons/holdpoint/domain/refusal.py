"""How a request is turned away: one type, rendered by each protocol in its own words."""

from enum import StrEnum

from holdpoint.domain.values import JsonMapping


class RefusalKind(StrEnum):
    """What the caller can do about it. The value is part of the public reference."""

    UNAUTHENTICATED = "unauthenticated"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    DENIED = "denied"
    HELD = "held"
    """Waiting for a reviewer; the same call made again passes once approved."""
    REVIEW_DENIED = "review_denied"
    EXPIRED = "expired"
    CONFLICT = "conflict"
    """The same request was already sent on behalf of another waiter, or its outcome is unknown."""
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    NOT_ACCEPTABLE = "not_acceptable"
    UPSTREAM = "upstream"
    WITHHELD = "withheld"
    """An answer came that could not be inspected."""
    UNAVAILABLE = "unavailable"
    FAULT = "fault"


HTTP_STATUS: dict[RefusalKind, int] = {
    RefusalKind.UNAUTHENTICATED: 401,
    RefusalKind.BAD_REQUEST: 400,
    RefusalKind.NOT_FOUND: 404,
    RefusalKind.DENIED: 403,
    RefusalKind.HELD: 403,
    RefusalKind.REVIEW_DENIED: 403,
    RefusalKind.EXPIRED: 403,
    RefusalKind.CONFLICT: 409,
    RefusalKind.TOO_LARGE: 413,
    RefusalKind.RATE_LIMITED: 429,
    RefusalKind.NOT_ACCEPTABLE: 406,
    RefusalKind.UPSTREAM: 502,
    RefusalKind.WITHHELD: 502,
    RefusalKind.UNAVAILABLE: 503,
    RefusalKind.FAULT: 503,
}


class Refusal(Exception):  # noqa: N818  # a refusal is an outcome, not an error of the program
    """A request that does not pass.

    `public` is shown to the caller: lower case, no full stop, no policy internals, never a token or a body.
    `detail` goes to the audit log and the operator only.
    """

    def __init__(
        self,
        kind: RefusalKind,
        public: str,
        *,
        detail: str = "",
        ticket: str = "",
        link: str = "",
        retry_after: int | None = None,
        challenge: str = "",
        scopes: frozenset[str] = frozenset(),
        answer: JsonMapping | None = None,
    ) -> None:
        super().__init__(public)
        self.kind = kind
        self.public = public
        self.detail = detail
        self.ticket = ticket
        """Id of the approval request, where there is one."""
        self.link = link
        """Where a reviewer can look at it. Leads to a login, never approves."""
        self.retry_after = retry_after
        """Seconds."""
        self.challenge = challenge
        """Value of `WWW-Authenticate` on a 401 or a step-up 403 (RFC 6750 section 3), without scopes and addresses."""
        self.scopes = scopes
        """What the challenge asks for, beside what the target always does."""
        self.answer = answer
        """`result` or `error` that an MCP caller gets in place of the words for this kind. Empty: no answer at all, as
        is owed to a request that its caller cancelled."""

    @property
    def status(self) -> int:
        """The HTTP status (RFC 9110 section 15)."""
        return HTTP_STATUS[self.kind]


class GatewayFault(Exception):  # noqa: N818  # named after what it is, as in the glossary
    """The gateway itself is at fault. The caller sees `fault` and an id, the log sees everything."""


class ConfigError(Exception):
    """A setting or policy the operator must mend. Start refuses; a reload keeps what is in force."""

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where
        """`file:line:column`, or `file` alone."""
