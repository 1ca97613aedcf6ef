"""Every other channel, by apprise (the extra `notify`): outgoing alone, and text alone."""

# apprise is typed by halves; mypy checks this file strictly, and pyright all but what apprise leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from holdpoint.approvals.notify_http import SendFailed, is_loopback
from holdpoint.approvals.notify_texts import lines, title
from holdpoint.domain.notice import Notice
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import as_text
from holdpoint.secrets import Secret


class Apprise:
    """One apprise URL."""

    def __init__(self, url: Secret, *, where: str) -> None:
        """Take a URL. Raises ConfigError where apprise is not installed or does not take it, or it is not encrypted."""
        try:
            import apprise  # noqa: PLC0415  # an optional extra
        except ImportError as error:
            raise ConfigError(
                "kind `apprise` needs the extra `notify`: install `holdpoint[notify]`", where=where
            ) from error
        asset = apprise.AppriseAsset(http_redirects=False, secure_logging=True, storage_mode="memory", plugin_paths=[])
        self._all = apprise.Apprise(asset=asset)
        self._text = apprise.NotifyFormat.TEXT
        if not self._all.add(url.reveal()) or len(self._all) != 1:
            raise ConfigError("apprise does not take its URL, or it is more than one", where=where)
        plugin: Any = self._all[0]
        scheme = url.reveal().partition(":")[0].lower()
        if scheme in _names(plugin.protocol) and _names(plugin.secure_protocol) and not is_loopback(plugin.host or ""):
            known = ", ".join(f"`{name}://`" for name in _names(plugin.secure_protocol))
            raise ConfigError(f"its URL is not encrypted: write {known}", where=where)
        # A thread of its own: a plugin that hangs takes none of those that the gateway works with.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="holdpoint-apprise")

    async def send(self, notice_id: str, notice: Notice, now: float) -> None:
        """Send a notice. Raises SendFailed."""
        _ = notice_id, now
        text = "\n".join(f"{label}: {tame(value)}" for label, value in lines(notice))
        link, heading = as_text(notice.data.get("link")), tame(title(notice))
        body = f"{text}\n{link}".strip() or heading
        # NOTE: apprise says how it went and not why.
        if not await asyncio.get_running_loop().run_in_executor(self._pool, self._notify, heading, body):
            raise SendFailed("apprise could not deliver it; its log says why")

    async def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _notify(self, heading: str, body: str) -> bool:
        return bool(self._all.notify(body=body, title=heading, body_format=self._text, interpret_escapes=False))


def tame(text: str) -> str:
    """Return text that calls nobody and leads nowhere in any of the chats that apprise knows.

    NOTE: apprise escapes for some of them and not for others (Discord, Mattermost and Google Chat get `@everyone`,
    `<users/all>` and `[text](address)` as they are), and has no way to say that a text is nothing but text.
    """
    for mark, shown in _MARKS:
        text = text.replace(mark, shown)
    return _CALLS.sub("(at)", text)


_MARKS: Final = (("<", "\u2039"), (">", "\u203a"), ("](", "] ("), ("://", ": //"))
_CALLS: Final = re.compile(r"(?<![\w.+-])@|@(?=(?:channel|here|everyone|all)\b)", re.IGNORECASE)
"""An address of mail is left as it is."""


def _names(names: object) -> tuple[str, ...]:
    """Return the schemes that a plugin names: none, one, or several."""
    if isinstance(names, str):
        return (names,)
    return tuple(str(n) for n in names) if isinstance(names, tuple | list | set | frozenset) else ()
