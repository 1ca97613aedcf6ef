"""Handles that a server gave to one principal are of no use to another."""

from holdpoint.domain.access import Principal
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols.call import Call
from holdpoint.settings import Target
from holdpoint.stages.gateway import Gateway


def bind(gateway: Gateway, target: Target, principal: Principal, call: Call) -> Call:
    """Return a call whose handles are the caller's own, with what the gateway knows of it. Raises Refusal."""
    owners = gateway.services.owners
    if call.session and owners.is_of_another(target.name, call.session, principal.id):
        raise Refusal(RefusalKind.NOT_FOUND, "no such session", detail="another principal began it")
    return call
