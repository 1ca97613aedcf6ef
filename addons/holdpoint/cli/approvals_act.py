"""`holdpoint approvals withdraw|reason|break-glass|review`: what requesters do, and who looks at it afterwards."""

import argparse
from typing import TYPE_CHECKING

from holdpoint.cli.approvals_show import said
from holdpoint.cli.common import ask, settings_of
from holdpoint.cli.login import reviewer_token
from holdpoint.domain.values import JsonObject, as_object, as_text

if TYPE_CHECKING:
    from holdpoint.cli.common import Commands


def add(group: "Commands") -> None:
    """Add the commands to the group `approvals`."""
    withdraw = group.add_parser("withdraw", help="take back a request of your own that waits")
    withdraw.add_argument("id")
    withdraw.set_defaults(run=_withdraw)
    reason = group.add_parser("reason", help="say why you made a request that waits")
    reason.add_argument("id")
    reason.add_argument("text", help="for the reviewers and the record")
    reason.set_defaults(run=_reason)
    glass = group.add_parser("break-glass", help="open a request of your own at once, where its rule lets you")
    glass.add_argument("id")
    glass.add_argument("--reason", required=True, help="why it cannot wait; operators read it at once")
    glass.set_defaults(run=_break_glass)
    review = group.add_parser("review", help="note that you looked at what was opened by breaking the glass")
    review.add_argument("id")
    review.add_argument("--comment", required=True, help="what you found")
    review.set_defaults(run=_review)


def _asked(arguments: argparse.Namespace, method: str, more: JsonObject) -> JsonObject:
    settings = settings_of(arguments)
    params: JsonObject = {"id": arguments.id, "id_token": reviewer_token(arguments, settings), **more}
    return as_object(ask(settings, method, params))


def _told(arguments: argparse.Namespace, request: JsonObject) -> int:
    print(f"{said(arguments.id)}: {said(as_text(request.get('state')))}")
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    return _told(arguments, _asked(arguments, "approvals.withdraw", {}))


def _reason(arguments: argparse.Namespace) -> int:
    return _told(arguments, _asked(arguments, "approvals.reason", {"reason": arguments.text}))


def _break_glass(arguments: argparse.Namespace) -> int:
    found = _asked(arguments, "approvals.get", {})
    print(f"opens {said(as_text(found.get('opens')) or as_text(found.get('summary')) or _what(found))}")
    read: JsonObject = {"expect": found.get("intent"), "preview": found.get("preview_digest")}
    broken = _asked(arguments, "approvals.break_glass", {"reason": arguments.reason, **read})
    _told(arguments, broken)
    print("the operators were told, and a reviewer has to look at it before you can break another")
    return 0


def _what(request: JsonObject) -> str:
    return f"{as_text(request.get('action'))} {as_text(request.get('resource'))}"


def _review(arguments: argparse.Namespace) -> int:
    reviewed = _asked(arguments, "approvals.review", {"comment": arguments.comment})
    print(f"{said(arguments.id)}: glass {said(as_text(reviewed.get('glass')))}")
    return 0
