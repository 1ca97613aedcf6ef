"""What the gateway corrects in an answer of a Kubernetes API server, before anything of it is masked."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import replace

from mitmproxy import http

from holdpoint.domain.access import AccessRequest, Action, Resource
from holdpoint.domain.exchange import decoded
from holdpoint.domain.prospect import Outlook, Prospect
from holdpoint.domain.values import JsonValue
from holdpoint.protocols.kubernetes import access_reviews
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.warnings import add_note


def needs_whole(access: AccessRequest) -> bool:
    """Tell whether `correct` may change the answer to a request: it must be read whole then."""
    return access_reviews.is_review(access)


def correct(gateway: Gateway, flow: http.HTTPFlow, document: JsonValue) -> JsonValue:
    """Return an answer's document with what policy says of it: what was asked is known from the exchange.

    Most documents come back as they are. Nothing of `document` is changed in place.
    """
    call, response = decoded(gateway.exchanges.of(flow).state), flow.response
    if call is None or not needs_whole(call.access):
        return document
    access, engine = call.access, gateway.services.policies.engine
    held: list[Prospect] = []

    def decide(verb: str, resource: Resource) -> Prospect:
        action = Action(access.action.protocol, verb)
        found = engine.prospect(replace(access, action=action, resource=resource, arguments={}, members=()))
        if found.outlook is Outlook.HELD:
            held.append(found)
        return found

    shown = access_reviews.corrected(access, document, decide)
    if response is not None and held and access_reviews.asks_for_one(access):
        # kubectl prints no reason beside a `yes`.
        add_note(response, access_reviews.said(held[-1]))
    return shown
