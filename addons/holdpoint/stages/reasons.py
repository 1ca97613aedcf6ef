"""Why a caller asks: read from the request for reviewers, and taken out of what is sent on."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mitmproxy import http

from holdpoint.approvals.checks import MAX_REASON
from holdpoint.domain.access import AccessRequest
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import as_object, as_text
from holdpoint.masking.masker import Masker
from holdpoint.stages.fields import raw
from holdpoint.visible_text import spelled_out

if TYPE_CHECKING:
    from holdpoint.stages.services import Services

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


def masked(reason: str, masker: Masker) -> str:
    """Return a reason without the secrets in it, as it is shown, stored and recorded."""
    return as_text(as_object(masker.sealed({"reason": reason})).get("reason")) if reason else ""


def masked_words(services: "Services", access: AccessRequest, words: str) -> str:
    """Return what somebody writes about a held request without the secrets in it, by the policies in force now."""
    if not words:
        return ""
    policies = services.policies
    target = next((t for t in services.settings.targets if t.name == access.target), None)
    names = policies.masks_of(access, always=target.masks if target else ())
    return policies.keeper(names, target).text(words).value
