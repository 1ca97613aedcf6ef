"""`holdpoint approvals approve|deny`: the decision in the words that are kept, confirmed at the issuer where needed."""

import argparse
import asyncio

from holdpoint.cli.approvals_show import still_to_come
from holdpoint.cli.common import Failure, ask, settings_of, shown
from holdpoint.cli.login import at_terminal, logins_at, reviewer_token
from holdpoint.clock import SystemClock
from holdpoint.domain.statement import Statement, moment
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.identity.errors import LoginError
from holdpoint.identity.tokens import BadToken, take_apart
from holdpoint.settings import Issuer, Settings

type Actions = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001


def add(group: Actions) -> None:
    """Add `approve` and `deny` to the commands of `approvals`."""
    for verdict in ("approve", "deny"):
        command = group.add_parser(verdict, help=f"{verdict} one request")
        command.add_argument("id")
        command.add_argument("--comment", default="", help="what the requester and the record will read")
        command.add_argument("--expect", default="", help="intent digest that you read; default: as it is shown now")
        command.add_argument("--preview", default="", help="preview digest that you read; default: as it is shown now")
        if verdict == "approve":
            command.add_argument("--device", action="store_true", help="no browser is here: then nothing is confirmed")
            command.add_argument(
                "--no-browser", action="store_true", help="print the address at which to confirm instead of opening it"
            )
        command.set_defaults(run=_decide, verdict=verdict)


def _decide(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    token = reviewer_token(arguments, settings)
    request = as_object(ask(settings, "approvals.get", {"id": arguments.id, "id_token": token}))
    issuer, subject = _whose(token, settings)
    # What a terminal hands over need not be text.
    comment = str(arguments.comment).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    said = Statement(
        request=arguments.id,
        intent=arguments.expect or as_text(request.get("intent")),
        preview=arguments.preview or as_text(request.get("preview_digest")),
        verdict=arguments.verdict,
        comment=comment,
        issuer=issuer.url,
        subject=subject,
        at=moment(SystemClock().now()),
    )
    params: JsonObject = {
        "id": said.request,
        "verdict": said.verdict,
        "comment": said.comment,
        "expect": said.intent,
        "preview": said.preview,
        "id_token": token,
    }
    if said.verdict == "approve" and (request.get("needs_confirm") is True or settings.reviewers.signed):
        params |= {"statement": said.as_json(), "confirm_token": _confirmed(arguments, settings, issuer, said)}
    answer = as_object(ask(settings, "approvals.decide", params))
    places = still_to_come(answer) if answer.get("state") == "pending" else ""
    state = shown(as_text(answer.get("state")))
    print(f"{shown(said.request)}: {state}{f'; still to come: {places}' if places else ''}")
    return 0


def _whose(token: str, settings: Settings) -> tuple[Issuer, str]:
    """Return at which issuer a login was, and of whom. It was verified before it was kept. Raises Failure."""
    try:
        claims = take_apart(token).unverified_claims
    except BadToken as error:
        raise Failure(f"the login cannot be read, run `holdpoint login`: {error}") from error
    for issuer in settings.issuers:
        if issuer.url == claims.get("iss"):
            return issuer, as_text(claims.get("sub"))
    raise Failure("the login is of an issuer that the settings do not have, run `holdpoint login`")


def _confirmed(arguments: argparse.Namespace, settings: Settings, issuer: Issuer, said: Statement) -> str:
    """Have the reviewer's own issuer vouch for the decision. Raises Failure: then nothing was sent."""
    if arguments.device:
        raise Failure(
            "a login with a code on another machine cannot carry the digest of a decision, so nothing was sent: "
            "approve in the console, or here with a browser"
        )
    try:
        return asyncio.run(
            logins_at(issuer).confirm(
                at_terminal(arguments), digest=said.digest, again=settings.reviewers.confirm == "login"
            )
        )
    except LoginError as error:
        raise Failure(f"the decision was not confirmed, and nothing was sent: {error}") from error
