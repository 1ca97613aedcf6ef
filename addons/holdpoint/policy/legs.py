"""A call that came through others: what its principal asks, each of them must be allowed too."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from holdpoint.domain.access import AccessRequest, Principal
from holdpoint.domain.decision import Decision, Deny, Permit, UseCredential
from holdpoint.domain.refusal import GatewayFault
from holdpoint.policy.members import combine


def each_leg(request: AccessRequest) -> Iterator[AccessRequest]:
    """Yield a request as its principal asks it, and as each leg does. Raises GatewayFault for legs of legs.

    What belongs to somebody else in the request stays so, and is refused with it.
    """
    yield request
    principal = request.principal
    for leg in principal.legs:
        if leg.legs:
            raise GatewayFault("a leg that has legs")
        members = tuple(replace(m, principal=leg) if m.principal == principal else m for m in request.members)
        yield replace(request, principal=leg, members=members)


def combine_legs(bundle: str, decided: Sequence[tuple[Principal, Decision]]) -> Decision:
    """Combine what was decided for a principal, which comes first, and for each of its legs: all of them pass.

    The credential is the principal's choice: a leg whose rules ask for none takes it, one that asks for another denies.
    A denial tells the operator which of the legs may not.
    """
    decisions = [decision for _, decision in decided]
    first = decisions[0]
    chosen = [d for d in first.obligations if isinstance(d, UseCredential)] if isinstance(first, Permit) else []
    alike = [first, *(_with_credential(d, chosen) for d in decisions[1:])]
    counts = {len(d.members) for d in alike}
    # One that was refused before its members were looked at has none: the whole is denied then.
    each = zip(*(d.members for d in alike), strict=True) if len(counts) == 1 else ()
    members = tuple(combine(bundle, of_member, ()) for of_member in each)
    whole = combine(bundle, alike, members)
    legs = tuple(_refused(leg, found) for leg, found in decided[1:] if isinstance(found, Deny))
    return replace(whole, legs=legs) if isinstance(whole, Deny) else whole


def _refused(leg: Principal, decision: Deny) -> str:
    through = f" (agent `{leg.actor.subject}`)" if leg.actor else ""
    rules = ", ".join(f"`{rule}`" for rule in decision.rules)
    why = f"{decision.reason.value}: {rules}" if rules else decision.reason.value
    return f"the call came through `{leg.id}`{through}, for whom {why}"


def _with_credential(decision: Decision, chosen: list[UseCredential]) -> Decision:
    if not isinstance(decision, Permit) or any(isinstance(d, UseCredential) for d in decision.obligations):
        return decision
    return replace(decision, obligations=(*decision.obligations, *chosen))
