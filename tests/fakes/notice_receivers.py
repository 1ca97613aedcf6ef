"""Who receives notices: a webhook endpoint that verifies with the library and misbehaves on demand, and a Slack."""

import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from standardwebhooks.webhooks import Webhook
from tests.fakes.serving import Handler, Threaded

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_" + "b2xkIHNlY3JldCBvZiB0aGlzIHdlYmhvb2s="
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


@dataclass
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Inbox:
    """What came, and what is answered next. Every answer is 200 unless the script says otherwise."""

    got: list[Got] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    """`500`, `429 7` (with Retry-After), `hang`, `drip`, `huge`, `close`, `302`."""
    answer: bytes = b""
    changed: threading.Condition = field(default_factory=threading.Condition)
    ending: threading.Event = field(default_factory=threading.Event)

    def add(self, got: Got) -> str:
        with self.changed:
            self.got.append(got)
            self.changed.notify_all()
            return self.script.pop(0) if self.script else "200"

    def wait(self, number: int, *, timeout: float = 20) -> list[Got]:
        """Wait until so many came."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= number, timeout), f"{len(self.got)} came"
            return list(self.got)


def _handler(inbox: Inbox) -> type[Handler]:  # noqa: C901  # one case for each sickness
    class Receive(Handler, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            word, _, rest = inbox.add(Got(self.path, headers, self.heard())).partition(" ")
            match word:
                case "hang":
                    inbox.ending.wait(30)
                case "close":
                    self.close_connection = True
                case "drip":
                    self._begin(1_000_000)
                    while not inbox.ending.wait(0.02):
                        self._write(b" ")
                case "huge":
                    self._begin(1 << 40)
                    while self._write(b"x" * 65_536) and not inbox.ending.is_set():
                        pass
                case "302":
                    self.say(302, b"", location=f"{rest or '/elsewhere'}")
                case _:
                    self.say(int(word), inbox.answer or b"{}", **({"retry_after": rest} if rest else {}))

        def _begin(self, length: int) -> None:
            self.close_connection = True
            self.send_response(200)
            self.send_header("content-length", str(length))
            self.end_headers()

        def _write(self, data: bytes) -> bool:
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:
                inbox.ending.set()
                return False
            return True

    return Receive


class Receiver(Threaded):
    """An endpoint on loopback. A context manager."""

    def __init__(self, *, tls: tuple[Path, Path] | None = None) -> None:
        self.inbox = Inbox()
        super().__init__(_handler(self.inbox), tls=tls)

    def __exit__(self, *args: object) -> None:
        self.inbox.ending.set()
        super().__exit__(*args)


def verified(got: Got, secret: str = SECRET) -> dict[str, Any]:
    """Verify a webhook as its receiver does, by the library alone, and return the event. Raises what it raises."""
    found: dict[str, Any] = Webhook(secret).verify(got.body, got.headers)
    return found


def pressed(approval: str, user: str = "U123", *, action: str = "holdpoint-deny", **more: Any) -> bytes:
    """The body that Slack sends when somebody presses a button."""
    payload = {
        "type": "block_actions",
        "user": {"id": user, "username": "ana", "team_id": "T012"},
        "team": {"id": "T012", "domain": "corp"},
        "response_url": "http://169.254.169.254/latest/meta-data/",
        "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        "actions": [{"type": "button", "action_id": action, "value": approval, "action_ts": "1"}],
        **more,
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def signed(body: bytes, *, at: float | None = None, secret: str = SIGNING_SECRET) -> tuple[str, str]:
    """Timestamp and signature, as Slack makes them."""
    timestamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256)
    return timestamp, f"v0={mac.hexdigest()}"


def slack_headers(body: bytes, *, at: float | None = None, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """Headers of what Slack sends."""
    timestamp, signature = signed(body, at=at, secret=secret)
    return {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": timestamp,
        "x-slack-signature": signature,
        "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
    }
