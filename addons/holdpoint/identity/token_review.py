"""Asks the API server whether a token still counts (TokenReview): one of a deleted pod does not, whatever its `exp`.

The `kubernetes` package is imported when the first token is looked at, in a thread: it takes a second, and a gateway
that asks nobody never pays for it. Where the API server cannot be asked, nobody passes.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from holdpoint.clock import Clock
from holdpoint.domain.values import JsonObject
from holdpoint.identity.jwks import KeysUnavailable
from holdpoint.identity.keys import printable
from holdpoint.identity.service_accounts import account_uid, pod_uid
from holdpoint.identity.tokens import BadToken
from holdpoint.settings import TokenReview
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

REMEMBERED: Final = 4_096
TIMEOUT: Final = (2.0, 4.0)
"""Seconds to connect, and to wait for the answer."""
POD_UID: Final = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What an API server answered."""

    authenticated: bool
    username: str = ""
    uid: str = ""
    audiences: frozenset[str] = frozenset()
    pod: str = ""
    """UID of the pod, where the answer names one."""


type Ask = Callable[[TokenReview, str, frozenset[str]], Reviewed]
"""Asks in the calling thread, for a token and the audiences it should be for. Raises what it likes."""
type _Question = tuple[bytes, frozenset[str]]
"""A token by its digest, and the audiences it is to be for."""


class TokenReviews:
    """The answers of one API server, each believed for `TokenReview.every` seconds. One question each at a time."""

    def __init__(self, settings: TokenReview, clock: Clock, *, ask: Ask) -> None:
        self.settings = settings
        self._clock = clock
        self._ask = ask
        self._answers: OrderedDict[_Question, tuple[float, Reviewed]] = OrderedDict()
        self._asking: dict[_Question, asyncio.Task[None]] = {}

    async def check(self, token: str, digest: bytes, claims: JsonObject, accepted: frozenset[str]) -> float:
        """Return until when (monotonic seconds) it is believed that the API server knows the token as its claims say.

        Raises BadToken where it does not, KeysUnavailable where it cannot be asked.
        """
        question = digest, accepted
        found = self._known(question)
        if found is None:
            if (task := self._asking.get(question)) is None:
                task = self._asking[question] = spawn(self._fetch(token, question), name="token review")
            # A caller that leaves does not take the question with it: others wait for it too.
            await asyncio.wait({task})
            found = self._known(question)
        if found is None:
            raise KeysUnavailable(f"tokens cannot be reviewed at `{self.settings.server}`")
        until, answer = found
        _compare(answer, claims, accepted)
        return until

    async def close(self) -> None:
        """Stop asking, and forget every answer."""
        for task in tuple(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        self._answers.clear()

    def _known(self, question: _Question) -> tuple[float, Reviewed] | None:
        entry = self._answers.get(question)
        return entry if entry is not None and self._clock.monotonic() < entry[0] else None

    async def _fetch(self, token: str, question: _Question) -> None:
        # Counted from before the question was sent: a slow answer does not count for longer.
        until = self._clock.monotonic() + self.settings.every
        try:
            answer = await asyncio.to_thread(self._ask, self.settings, token, question[1])
        except Exception as error:  # noqa: BLE001  # whatever a library raises, nobody passes
            # NOTE: its text may quote the request, and with it the token.
            logger.warning("tokens cannot be reviewed at `%s`: %s", self.settings.server, type(error).__name__)
        else:
            self._answers[question] = (until, answer)
            self._answers.move_to_end(question)
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        finally:
            self._asking.pop(question, None)


def _compare(answer: Reviewed, claims: JsonObject, accepted: frozenset[str]) -> None:
    if not answer.authenticated:
        raise BadToken("the API server no longer knows the token: its pod or service account is gone")
    if answer.username != claims.get("sub"):
        raise BadToken(f"the API server knows the token as another's: `{printable(answer.username)}`")
    if not answer.uid or answer.uid != account_uid(claims):
        raise BadToken("the API server knows another service account of that name")
    # An API server that does not know of audiences answers with none: then it was valid for itself, and not for us.
    if answer.audiences.isdisjoint(accepted):
        raise BadToken("the API server does not take the token for an audience that is accepted here")
    if answer.pod and answer.pod != pod_uid(claims):
        raise BadToken("the API server knows the token as that of another pod")


def ask_api_server(settings: TokenReview, token: str, audiences: frozenset[str]) -> Reviewed:
    """Create a TokenReview by the official client. Blocks, and raises whatever that raises."""
    from kubernetes import client  # noqa: PLC0415  # a second of imports that most gateways do not need

    api: Any = client
    configuration = api.Configuration()
    configuration.host = settings.server
    configuration.ssl_ca_cert = str(settings.ca_file) if settings.ca_file else None
    configuration.verify_ssl = True
    # HTTPS_PROXY may name this very gateway.
    configuration.proxy = None
    configuration.retries = False
    configuration.debug = False
    if settings.token_file is not None:
        own = settings.token_file.read_text(encoding="ascii").strip()
        configuration.api_key = {"authorization": own, "BearerToken": own}
        configuration.api_key_prefix = {"authorization": "Bearer", "BearerToken": "Bearer"}
    with api.ApiClient(configuration) as connection:
        review = api.V1TokenReview(spec=api.V1TokenReviewSpec(token=token, audiences=sorted(audiences)))
        status = api.AuthenticationV1Api(connection).create_token_review(body=review, _request_timeout=TIMEOUT).status
    if status is None:
        raise ValueError("a token review without a status")
    user = status.user
    extra = cast("Mapping[str, list[str]]", (user.extra or {}) if user is not None else {})
    pods = extra.get(POD_UID) or [""]
    return Reviewed(
        authenticated=status.authenticated is True and not status.error,
        username=(user.username or "") if user is not None else "",
        uid=(user.uid or "") if user is not None else "",
        audiences=frozenset(status.audiences or ()),
        pod=str(pods[0]),
    )
