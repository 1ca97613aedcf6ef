"""Webhooks: CloudEvents 1.0 (structured mode, JSON), signed as Standard Webhooks says (symmetric, `v1`)."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from standardwebhooks.webhooks import Webhook as Signer

from holdpoint.approvals.notify_http import Line
from holdpoint.approvals.notify_texts import moment, title
from holdpoint.domain.notice import Notice, NoticeEvent
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonObject
from holdpoint.protocols.strict_json import dumps
from holdpoint.secrets import Secret

MEDIA_TYPE: Final = "application/cloudevents+json"
TYPES: Final = {
    NoticeEvent.HELD: "dev.holdpoint.approval.held",
    NoticeEvent.REMINDER: "dev.holdpoint.approval.reminder",
    NoticeEvent.VOTED: "dev.holdpoint.approval.voted",
    NoticeEvent.RESOLVED: "dev.holdpoint.approval.resolved",
    NoticeEvent.REASON_WANTED: "dev.holdpoint.approval.reason-wanted",
    NoticeEvent.BREAK_GLASS: "dev.holdpoint.approval.break-glass",
    NoticeEvent.REVIEW_DUE: "dev.holdpoint.approval.review-due",
    NoticeEvent.DENIED: "dev.holdpoint.denied",
    NoticeEvent.VIOLATION: "dev.holdpoint.violation",
    NoticeEvent.GRANT_REVOKED: "dev.holdpoint.grant.revoked",
    NoticeEvent.SUSPENDED: "dev.holdpoint.principal.suspended",
    NoticeEvent.TEST: "dev.holdpoint.test",
}
"""CloudEvents `type` by event."""
_PREFIX: Final = "whsec_"
_SIZES: Final = range(24, 65)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One endpoint."""

    line: Line
    signers: tuple[Signer, ...]
    source: str
    """URL of the gateway."""

    async def send(self, notice_id: str, notice: Notice, now: float) -> None:
        """Send a notice; every attempt has the same id. Raises SendFailed."""
        body = dumps(cloud_event(notice_id, notice, self.source))
        await self.line.post(body, {"content-type": MEDIA_TYPE, **self.signed(notice_id, body, now)}, now=now)

    def signed(self, notice_id: str, body: bytes, now: float) -> dict[str, str]:
        """Return the headers that prove where a body is from: one signature for each secret."""
        at = datetime.fromtimestamp(now, UTC)
        signatures = " ".join(signer.sign(notice_id, at, body.decode()) for signer in self.signers)
        return {"webhook-id": notice_id, "webhook-timestamp": str(int(now)), "webhook-signature": signatures}

    async def close(self) -> None:
        """Close the connections."""
        await self.line.close()


def cloud_event(notice_id: str, notice: Notice, source: str) -> JsonObject:
    """Return the envelope. `subject` is left out where a notice has none: it may not be empty."""
    event: JsonObject = {
        "specversion": "1.0",
        "id": notice_id,
        "source": source,
        "type": TYPES[notice.event],
        "time": moment(notice.at),
        "datacontenttype": "application/json",
        "data": {"title": title(notice), **notice.data},
    }
    return {**event, "subject": notice.subject} if notice.subject else event


def signers(secrets: Sequence[Secret], *, where: str) -> tuple[Signer, ...]:
    """Return what signs with each secret. Raises ConfigError on one that receivers would not take."""
    made: list[Signer] = []
    for secret in secrets:
        try:
            key = base64.b64decode(secret.reveal().removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) not in _SIZES:
            raise ConfigError("its secret is not `whsec_` and 24 to 64 random bytes in base64", where=where)
        made.append(Signer(key))
    return tuple(made)
