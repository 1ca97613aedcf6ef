"""Why a caller asks: read from the request for reviewers, and taken out of what is sent on."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from typing import Final

from mitmproxy import http

from holdpoint.approvals.checks import MAX_REASON
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages.fields import raw
from holdpoint.visible_text import spelled_out

HEADER: Final = b"holdpoint-reason"
_CUT: Final = "…"


def take_header(request: http.Request) -> str:
    """Take the header out of a request, before it is decoded, and return what it says. Raises Refusal.

    Gone by any spelling that a server may read as the same name (CGI, RFC 3875 section 4.1.18, turns `-` into `_`).
    """
    fields = raw(request.headers)
    found = [value for name, value in fields if name.lower().replace(b"_", b"-") == HEADER]
    if not found:
        return ""
    if len(found) > 1:
        raise Refusal(RefusalKind.BAD_REQUEST, "header `holdpoint-reason` is given more than once")
    request.headers.fields = tuple(f for f in fields if f[0].lower().replace(b"_", b"-") != HEADER)
    return shown([found[0].decode("utf-8", "replace")])


def shown(reasons: Sequence[str]) -> str:
    """Return what reviewers read of reasons: each once, bounded, with nothing hidden in it."""
    texts = dict.fromkeys(text for r in reasons if (text := r.strip()))
    whole = "; ".join(texts)
    cut = whole if len(whole) <= MAX_REASON else whole[: MAX_REASON - 1] + _CUT
    return spelled_out(cut, keep="\n")
