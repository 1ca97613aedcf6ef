"""Slack: one message for a notice, by an incoming webhook or as a bot.

Whatever callers can influence stands in `plain_text` objects, where Slack reads neither links nor markup. It is escaped
all the same: `&`, `<` and `>` are all that begins a mention or a link (docs.slack.dev, "Formatting message text").
"""

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from holdpoint.approvals.notify_http import Line, SendFailed
from holdpoint.approvals.notify_texts import lines, title
from holdpoint.domain.notice import Notice, NoticeEvent
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.protocols.strict_json import dumps, loads
from holdpoint.secrets import Secret

DENY: Final = "holdpoint-deny"
OPEN: Final = "holdpoint-open"
_MOST: Final = 150
"""Characters of a header (Block Kit)."""
_FIELDS: Final = 10
_CALLS: Final = re.compile(r"@(?=channel|here|everyone)", re.IGNORECASE)
_LENGTHS: Final = {"&": 5, "<": 4, ">": 4, "@": 4}
"""Of what becomes longer, at most."""
_ERROR: Final = re.compile(r"[a-z_]{1,60}")


@dataclass(frozen=True, slots=True)
class Slack:
    """One channel."""

    line: Line
    token: Secret | None = None
    """A bot's; None: the line is an incoming webhook."""
    channel: str = ""
    can_deny: bool = False
    """Whether what is pressed in Slack comes back to us."""

    async def send(self, notice_id: str, notice: Notice, now: float) -> None:
        """Send a notice. Raises SendFailed."""
        _ = notice_id
        message = self.message(notice)
        headers = {"content-type": "application/json; charset=utf-8"}
        if self.token is None:
            await self.line.post(dumps(message), headers, now=now)
            return
        headers["authorization"] = f"Bearer {self.token.reveal()}"
        _check(await self.line.post(dumps({**message, "channel": self.channel}), headers, now=now, read=True))

    def message(self, notice: Notice) -> JsonObject:
        """Return the message."""
        heading = escaped(title(notice))
        fields: list[JsonValue] = [_plain(f"{label}: {text}") for label, text in lines(notice)]
        blocks: list[JsonValue] = [{"type": "header", "text": _plain(title(notice), most=_MOST)}]
        blocks.extend({"type": "section", "fields": fields[at : at + _FIELDS]} for at in range(0, len(fields), _FIELDS))
        if buttons := self._buttons(notice):
            blocks.append({"type": "actions", "elements": buttons})
        return {
            "text": heading,
            "blocks": blocks,
            "mrkdwn": False,
            "link_names": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }

    async def close(self) -> None:
        """Close the connections."""
        await self.line.close()

    def _buttons(self, notice: Notice) -> list[JsonValue]:
        buttons: list[JsonValue] = []
        link = as_text(notice.data.get("link"))
        if link:
            buttons.append({"type": "button", "action_id": OPEN, "text": _plain("Open"), "url": link})
        if self.can_deny and notice.approval and notice.event in (NoticeEvent.HELD, NoticeEvent.REMINDER):
            confirm: JsonObject = {
                "title": _plain("Deny this request?"),
                "text": _plain("Its caller is told at once. A denial cannot be taken back."),
                "confirm": _plain("Deny"),
                "deny": _plain("Cancel"),
                "style": "danger",
            }
            button: JsonObject = {"type": "button", "action_id": DENY, "style": "danger", "text": _plain("Deny")}
            buttons.append({**button, "value": notice.approval, "confirm": confirm})
        return buttons

    def __repr__(self) -> str:
        return f"Slack({self.channel or 'incoming webhook'})"


def escaped(text: str) -> str:
    """Return text that Slack shows as it is, and in which nothing calls anybody."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CALLS.sub("(at)", text)


def _plain(text: str, *, most: int = 1_000) -> JsonObject:
    """Return a text object of at most so many characters, as they are sent: longer ones make Slack refuse the whole."""
    shown = escaped(text)
    if len(shown) > most:
        # Cut before it is escaped, or `&amp;` would be cut in two.
        lengths = accumulate(_LENGTHS.get(c, 1) for c in text)
        shown = escaped("".join(c for c, length in zip(text, lengths, strict=False) if length < most)) + "…"
    return {"type": "plain_text", "text": shown, "emoji": False}


def _check(answer: bytes) -> None:
    """Read what the API says: it answers 200 to failures, too. Raises SendFailed."""
    try:
        said = as_object(loads(answer, max_depth=16))
    except ValueError:
        raise SendFailed("it answered something that is not JSON") from None
    if said.get("ok") is True:
        return
    error = as_text(said.get("error"))
    known = error if _ERROR.fullmatch(error) else "an error without a name"
    raise SendFailed(f"Slack says `{known}`")
