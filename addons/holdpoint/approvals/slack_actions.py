"""What users of Slack press, as Slack sends it: verified by its signature, and only ever a denial.

docs.slack.dev, "Verifying requests from Slack": HMAC-SHA256 over `v0:TIMESTAMP:BODY`, five minutes. `response_url` and
everything else in a payload that leads somewhere is never followed.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from holdpoint.approvals.errors import NotAllowed
from holdpoint.approvals.notify_slack import DENY
from holdpoint.clock import Clock
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.protocols.strict_json import loads
from holdpoint.secrets import Secret, read_secret
from holdpoint.settings import Sink, SlackUser

MAX_BODY: Final = 64 << 10
WINDOW: Final = 300.0
"""Seconds by which Slack's clock and ours may differ."""
MOST_SEEN: Final = 10_000
_SIGNATURE: Final = re.compile(r"v0=[0-9a-f]{64}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_APPROVAL: Final = re.compile(r"[a-z]{1,8}-[0-9a-z]{1,40}")


class NotFromSlack(Exception):  # noqa: N818  # says what it is
    """Nobody proved that this is from Slack, from now, and new. `code` is what the admin socket answers."""

    code = "unauthenticated"


class TooMuch(Exception):  # noqa: N818  # as above
    """More comes than people press."""

    code = "busy"


@dataclass(frozen=True, slots=True)
class Denial:
    """Somebody whom the settings name wants a request denied. Nothing else can come from a chat."""

    approval: str
    reviewer: Reviewer


@dataclass(frozen=True, slots=True)
class App:
    """One Slack app: what it signs with, and whom its users are."""

    secret: Secret
    team: str
    people: Mapping[str, SlackUser]


@dataclass(slots=True)
class SlackActions:
    """Reads what was pressed. One per gateway: it remembers the signatures that it has seen."""

    apps: Sequence[App]
    clock: Clock
    _seen: dict[str, float] = field(default_factory=dict[str, float])

    def read(self, body: bytes, *, timestamp: str, signature: str) -> Denial | None:
        """Return the denial, or None where nothing is to be done.

        Raises NotFromSlack, TooMuch, and NotAllowed where the settings do not say who the user is.
        """
        found = self._verified(body, timestamp, signature)
        payload = _payload(body)
        pressed = _pressed(payload)
        if pressed is None:
            return None
        if not _APPROVAL.fullmatch(pressed):
            raise NotAllowed("this is no request")
        user = as_object(payload.get("user"))
        user_id, teams = as_text(user.get("id")), _teams(payload, user)
        for app in found:
            known = app.people.get(user_id)
            if known is not None and (not app.team or teams == {app.team}):
                return Denial(pressed, _reviewer(user_id, known))
        raise NotAllowed("the gateway does not know who this Slack user is")

    def _verified(self, body: bytes, timestamp: str, signature: str) -> list[App]:
        """Return the apps that this is from, by their secrets."""
        if len(body) > MAX_BODY or not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
            raise NotFromSlack("this is not signed as Slack does")
        now = self.clock.now()
        if abs(now - int(timestamp)) > WINDOW:
            raise NotFromSlack("this was signed at another time")
        signed = b"v0:" + timestamp.encode() + b":" + body
        found = [app for app in self.apps if hmac.compare_digest(_sign(app.secret, signed), signature)]
        if not found:
            raise NotFromSlack("the signature is not Slack's")
        self._seen = {seen: until for seen, until in self._seen.items() if until >= now}
        if signature in self._seen:
            raise NotFromSlack("this was sent before")
        if len(self._seen) >= MOST_SEEN:
            raise TooMuch("too much is pressed at once: try again in a few minutes")
        # A timestamp from the future stays good for longer.
        self._seen[signature] = max(now, float(timestamp)) + WINDOW
        return found


def read_apps(sinks: Sequence[Sink], environ: Mapping[str, str]) -> tuple[App, ...]:
    """Read the secrets of every Slack app in the settings. Raises ConfigError."""
    return tuple(
        App(read_secret(sink.signing_secret, environ), sink.team, sink.people)
        for sink in _one_meaning([s for s in sinks if s.signing_secret is not None])
        if sink.signing_secret is not None
    )


def _one_meaning(sinks: Sequence[Sink]) -> Sequence[Sink]:
    known: dict[tuple[object, str, str], SlackUser] = {}
    for sink in sinks:
        for user, person in sink.people.items():
            key = (sink.signing_secret, sink.team, user)
            if known.setdefault(key, person) != person:
                raise ConfigError(f"Slack user `{user}` is another person in another sink", where=f"sink `{sink.name}`")
    return sinks


def _sign(secret: Secret, signed: bytes) -> str:
    return "v0=" + hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest()


def _payload(body: bytes) -> JsonObject:
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8, errors="strict")
        (text,) = fields["payload"]
        payload = loads(text.encode(), max_bytes=MAX_BODY, max_depth=32)
    except (ValueError, KeyError):
        payload = None
    if not isinstance(payload, dict):
        raise NotAllowed("this is no action that the gateway knows")
    return payload


def _pressed(payload: JsonObject) -> str | None:
    """Return the request whose button `Deny` was pressed."""
    actions = payload.get("actions")
    if payload.get("type") != "block_actions" or not isinstance(actions, list) or len(actions) != 1:
        return None
    action = as_object(actions[0])
    return as_text(action.get("value")) if action.get("action_id") == DENY else None


def _teams(payload: JsonObject, user: JsonObject) -> set[str]:
    """Return every workspace that the payload names: where it was pressed, and whose user pressed it."""
    named = {as_text(as_object(payload.get("team")).get("id")), as_text(user.get("team_id"))}
    return named - {""}


def _reviewer(user_id: str, known: SlackUser) -> Reviewer:
    return Reviewer(known.issuer or "slack", f"slack:{user_id}", known.person, known.groups, name=known.person)
