"""Who is logged in, in memory: a restart logs everybody out, and no cookie holds more than a random name."""

import hashlib
import hmac
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from holdpoint.clock import Clock

IDLE = 3_600.0
"""Seconds without a request by hand after which a session ends."""
ABSOLUTE = 43_200.0
"""Seconds after which a session ends whatever happens."""
MOST_SESSIONS = 2_000
MOST_EACH = 20
"""Sessions of one person: of more, the one idle for longest is over. Nobody logs out others by logging in often."""
FLOW_TIME = 600.0
"""Seconds that a login at the issuer may take."""
MOST_FLOWS = 20_000
"""Logins under way. Anybody who reaches the page can start one: the oldest gives way, and one is small."""


def _key(secret: str) -> str:
    """Under what a secret is kept: a look-up by hash tells nothing by its time."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(slots=True)
class Session:
    """One reviewer's login."""

    id_token: str
    """For the gateway only: never in a page, a cookie or a log."""
    name: str
    person: str
    groups: frozenset[str]
    ends: float
    """Monotonic seconds."""
    seen: float
    """Monotonic seconds of the last request by hand."""
    decide_key: str
    """Hash of the value of the strict cookie."""
    form_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    owner: str = ""
    """Whose it is, as the issuer tells people apart."""

    @property
    def names(self) -> frozenset[str]:
        """Under which names a rule or the settings may mean this person, delegations left aside."""
        own = {f"group:{group}" for group in self.groups}
        return frozenset(own | {f"person:{self.person}"} if self.person else own)

    def form_token(self, purpose: str) -> str:
        """Return what a form of this session for this purpose must carry."""
        return hmac.new(self.form_key, purpose.encode(), "sha256").hexdigest()

    def allows(self, *, purpose: str, form_token: str, decide_cookie: str) -> bool:
        """Tell whether a form was made by this session's own page and sent from this site."""
        by_form = hmac.compare_digest(self.form_token(purpose).encode(), form_token.encode())
        by_cookie = hmac.compare_digest(self.decide_key.encode(), _key(decide_cookie).encode())
        return by_form and by_cookie


@dataclass(frozen=True, slots=True)
class Login:
    """What a new session is made of: the verified ID token and what it says."""

    id_token: str
    name: str
    person: str
    groups: frozenset[str]
    owner: str = ""
    """`sub`: one issuer's own name for this person."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """The two secrets of a new session, for its two cookies."""

    session_cookie: str
    decide_cookie: str


class Sessions:
    """All sessions, at most so many: beyond that the one idle for longest is logged out."""

    def __init__(
        self, clock: Clock, *, idle: float = IDLE, absolute: float = ABSOLUTE, most: int = MOST_SESSIONS
    ) -> None:
        self._clock = clock
        self._idle = idle
        self._absolute = absolute
        self._most = most
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, login: Login) -> NewSession:
        """Make a session under a name that nobody knew before."""
        new = NewSession(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        now = self._clock.monotonic()
        self._sweep(now)
        own = [key for key, session in self._sessions.items() if session.owner == login.owner]
        for key in own[: max(0, len(own) - MOST_EACH + 1)]:
            del self._sessions[key]
        while len(self._sessions) >= self._most:
            self._sessions.popitem(last=False)
        self._sessions[_key(new.session_cookie)] = Session(
            id_token=login.id_token,
            name=login.name,
            person=login.person,
            groups=login.groups,
            owner=login.owner,
            ends=now + self._absolute,
            seen=now,
            decide_key=_key(new.decide_cookie),
        )
        return new

    def find(self, cookie: str, *, by_hand: bool) -> Session | None:
        """Return a live session. Only a request made by hand keeps it alive: an open page alone does not."""
        key = _key(cookie)
        session = self._sessions.get(key)
        if session is None:
            return None
        now = self._clock.monotonic()
        if not self._alive(session, now):
            del self._sessions[key]
            return None
        if by_hand:
            session.seen = now
            self._sessions.move_to_end(key)
        return session

    def close(self, cookie: str) -> None:
        """Forget a session, if there is one."""
        self._sessions.pop(_key(cookie), None)

    def _alive(self, session: Session, now: float) -> bool:
        return now < session.ends and now < session.seen + self._idle

    def _sweep(self, now: float) -> None:
        for key in [k for k, s in self._sessions.items() if not self._alive(s, now)]:
            del self._sessions[key]


@dataclass(frozen=True, slots=True)
class Flow:
    """A login under way at the issuer."""

    browser: str
    """Hash of the cookie of the browser that began it: a code brought by another browser opens nothing."""
    nonce: str
    verifier: str
    """PKCE code verifier (RFC 7636)."""
    next: str
    """Own path to go to afterwards."""
    began: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class NewFlow:
    """A flow and the two secrets by which it is found again."""

    state: str
    browser_cookie: str
    flow: Flow


class Flows:
    """Logins under way, each good once and for ten minutes."""

    def __init__(self, clock: Clock, *, most: int = MOST_FLOWS) -> None:
        self._clock = clock
        self._most = most
        self._flows: OrderedDict[str, Flow] = OrderedDict()
        self._browsers: Counter[str] = Counter()
        """How many flows each browser has: looking through all of them would take as long as somebody else likes."""

    def begin(self, *, browser_cookie: str, then: str) -> NewFlow:
        """Begin a login. A browser that has another under way keeps its cookie, so that both can end well."""
        now = self._clock.monotonic()
        while self._flows and (len(self._flows) >= self._most or self._oldest().began + FLOW_TIME <= now):
            self._forget(next(iter(self._flows)))
        browser = browser_cookie if _key(browser_cookie) in self._browsers else secrets.token_urlsafe(32)
        flow = Flow(
            browser=_key(browser),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next=then,
            began=now,
        )
        state = secrets.token_urlsafe(32)
        self._flows[_key(state)] = flow
        self._browsers[flow.browser] += 1
        return NewFlow(state, browser, flow)

    def take(self, *, state: str, browser_cookie: str) -> Flow | None:
        """Return a flow and forget it, if this browser began it and it is not too old."""
        key = _key(state)
        flow = self._flows.get(key)
        if flow is None or not hmac.compare_digest(flow.browser, _key(browser_cookie)):
            return None
        self._forget(key)
        return flow if self._clock.monotonic() < flow.began + FLOW_TIME else None

    def _forget(self, key: str) -> None:
        browser = self._flows.pop(key).browser
        self._browsers[browser] -= 1
        if not self._browsers[browser]:
            del self._browsers[browser]

    def _oldest(self) -> Flow:
        return next(iter(self._flows.values()))
