"""Tokens of calls: what a tool call's server brings back, so that its requests to a cluster are those of the call.

A token is made for one `tools/call` that is about to be sent, says for which clusters it is, and dies with the call. It
is a JWT that the gateway signs with a key of its own, and it counts only while this process knows the call: a signature
alone opens nothing, so that neither a copy of the key nor a restart brings a call back to life.

What it does not do: it does not say which machine sends it. Whoever steals one from the MCP server while the call is
under way can use it as that server could.
"""

import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from holdpoint.clock import Clock
from holdpoint.domain.access import Actor, Principal
from holdpoint.domain.canonical import canonical
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.identity.claims import audiences_of, required_text
from holdpoint.identity.keys import VerificationKey
from holdpoint.identity.tokens import BadToken, take_apart, token_digest, verify_signature
from holdpoint.keys import KeyRing

ISSUER: Final = "holdpoint"
"""`iss` of these tokens, and issuer of the MCP servers that act with them. No OIDC issuer can have it: it is no URL."""
TYPE: Final = "holdpoint-call+jwt"
ALGORITHM: Final = "EdDSA"
GRACE: Final = 2.0
"""Seconds for which a token outlives its call: what was sent before the answer may arrive after it."""
MOST: Final = 20_000
"""Calls under way that have a token. Beyond, calls that need one are refused."""
MOST_REQUESTS: Final = 1_000
"""Requests of one call that are listed with it."""


def server_subject(target: str) -> str:
    """Return the subject that an MCP target's server has here: policies name it so."""
    return f"mcp-server:{target}"


@dataclass(slots=True)
class _Call:
    """A call that a token was made for."""

    principal: Principal
    """Whom a request is decided for that brings the token."""
    clusters: frozenset[str]
    digest: bytes
    """SHA-256 of the token."""
    until: float
    """Monotonic seconds after which the token no longer counts, whatever becomes of the call."""
    requests: list[str] = field(default_factory=list[str])
    """Exchanges that came with it, oldest first."""


class Calls:
    """The calls under way that a token was made for. In memory only."""

    def __init__(self, ring: KeyRing | None, clock: Clock) -> None:
        self._ring = ring
        self._clock = clock
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._over: deque[tuple[float, str]] = deque()
        self._heads = {_head(key_id): key_id for key_id in ring.ring} if ring else {}
        self.on_end: Callable[[str], None] = lambda _call: None
        """Called with the id of a call whose exchange ended: its token counts for `GRACE` more seconds."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def heads(self) -> tuple[str, ...]:
        """What every token of ours begins with: whatever follows one in an answer is a token."""
        return tuple(self._heads)

    def is_ours(self, token: str) -> bool:
        """Tell whether a token says that it is one of these. Nothing about it is verified."""
        return token.startswith(self.heads)

    def mint(
        self, principal: Principal, *, server: str, clusters: frozenset[str], exchange: str, lifetime: float
    ) -> str:
        """Return the token of one call, for the requests that the server of MCP target `server` makes for it.

        It lives `lifetime` seconds at most, and not longer than the principal's own. Raises Refusal where too many are
        under way, GatewayFault where there is no key or a token was made for the call already.
        """
        if self._ring is None:
            raise GatewayFault("no key signs tokens of calls")
        if exchange in self._calls:
            raise GatewayFault(f"call `{exchange}` has a token already")
        self._forget_dead()
        if len(self._calls) >= MOST:
            raise Refusal(RefusalKind.UNAVAILABLE, "too many tool calls are under way", retry_after=5)
        now = self._clock.now()
        expires = min(now + lifetime, principal.expires_at)
        agent = principal.actor
        actor = Actor(server_subject(server), ISSUER, (agent.subject, *agent.chain) if agent else ())
        claims: JsonObject = {
            "iss": ISSUER,
            "aud": [_audience(cluster) for cluster in sorted(clusters)],
            "sub": principal.subject,
            "sub_iss": principal.issuer,
            "act": _act(actor),
            "call": exchange,
            "iat": int(now),
            "exp": int(expires),
        }
        signer = self._ring.signer
        signed = _head(signer.key_id) + _encoded(canonical(claims))
        token = f"{signed}.{_encoded(signer.sign(signed.encode('ascii')))}"
        digest = token_digest(token)
        acting = replace(
            principal,
            actor=actor,
            token_id=digest.hex(),
            expires_at=expires,
            call=exchange,
            legs=(principal, _server(server, expires)),
        )
        until = self._clock.monotonic() + (expires - now)
        self._calls[exchange] = _Call(acting, clusters, digest, until)
        return token

    def requests(self, call: str) -> tuple[str, ...]:
        """Return the exchanges that came with a call's token so far, oldest first. Empty where it is not known."""
        found = self._calls.get(call)
        return tuple(found.requests) if found else ()

    def note(self, call: str, exchange: str) -> None:
        """Write down that an exchange serves a call."""
        found = self._calls.get(call)
        if found is not None and len(found.requests) < MOST_REQUESTS:
            found.requests.append(exchange)

    def is_live(self, call: str) -> bool:
        """Tell whether the token of a call still counts: what was held is not sent for a call that is over."""
        found = self._calls.get(call)
        return found is not None and self._clock.monotonic() < found.until

    def end(self, call: str) -> None:
        """Note that a call is over: its token counts for `GRACE` more seconds, and not longer."""
        found = self._calls.get(call)
        if found is not None:
            until = self._clock.monotonic() + GRACE
            found.until = min(found.until, until)
            self._over.append((until, call))
            self.on_end(call)

    def matching(self, test: Callable[[Principal], bool]) -> tuple[str, ...]:
        """Return the calls under way of whose principal `test` is true, the oldest first."""
        return tuple(call for call, found in self._calls.items() if self.is_live(call) and test(found.principal))

    def kill(self, call: str) -> None:
        """Let the token of a call count no more, from now on."""
        if (found := self._calls.get(call)) is not None:
            found.until = self._clock.monotonic()

    def verify(self, token: str, cluster: str) -> Principal:
        """Return whom a request to a cluster is decided for that brings this token.

        Raises Refusal UNAUTHENTICATED for any fault of the token, and where its call is over.
        """
        try:
            return self._verify(token, cluster)
        except BadToken as error:
            raise Refusal(
                RefusalKind.UNAUTHENTICATED,
                "the token of a tool call was not accepted: it counts for the cluster it was made for while its call "
                "is under way",
                detail=str(error),
                challenge='Bearer error="invalid_token"',
            ) from None

    def _verify(self, token: str, cluster: str) -> Principal:
        parts = take_apart(token)
        public = self._ring.ring.get(parts.kid) if self._ring else None
        if public is None or parts.typ != TYPE:
            raise BadToken("it is not signed by a key of the gateway's own")
        key = VerificationKey(parts.kid, frozenset({ALGORITHM}), public)
        claims = verify_signature(parts, key, algorithms=frozenset({ALGORITHM})).values
        if required_text(claims, "iss") != ISSUER:
            raise BadToken("claim `iss` is not the gateway")
        if _audience(cluster) not in audiences_of(claims):
            raise BadToken(f"it is not for target `{cluster}`")
        call = required_text(claims, "call")
        found = self._calls.get(call)
        if found is None or not self.is_live(call) or self._clock.now() >= found.principal.expires_at:
            raise BadToken("its call is over, or it has expired")
        # INVARIANT: this very token was made for this very call; what the signature says comes on top.
        if not hmac.compare_digest(found.digest, token_digest(token)) or cluster not in found.clusters:
            raise BadToken("it was not made for this call")
        return found.principal

    def _forget_dead(self) -> None:
        now = self._clock.monotonic()
        while self._over and now >= self._over[0][0]:
            self._calls.pop(self._over.popleft()[1], None)
        # Whatever ends without being told expires.
        while self._calls:
            oldest, call = next(iter(self._calls.items()))
            if now < call.until:
                return
            del self._calls[oldest]


def _server(target: str, expires: float) -> Principal:
    """Return the MCP server as a principal of its own, for which the request must be allowed too."""
    subject = server_subject(target)
    return Principal(issuer=ISSUER, subject=subject, kind="workload", name=f"MCP server {target}", expires_at=expires)


def _act(actor: Actor) -> JsonObject:
    """Return the chain of actors, the current one outermost (RFC 8693 section 4.1)."""
    inner: JsonValue = None
    for subject in reversed(actor.chain):
        inner = {"sub": subject, "act": inner} if inner is not None else {"sub": subject}
    outer: JsonObject = {"sub": actor.subject, "iss": actor.issuer}
    return {**outer, "act": inner} if inner is not None else outer


def _audience(cluster: str) -> str:
    return f"{ISSUER}:{cluster}"


def _head(key_id: str) -> str:
    """Return the JOSE header with the dot behind it, as it stands in every token of this key."""
    return _encoded(canonical({"alg": ALGORITHM, "kid": key_id, "typ": TYPE})) + "."


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
