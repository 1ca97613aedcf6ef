"""What a window leaves open: pins, their digest, and what changes with the terms. Pure.

A window or session grant clears every request with the same pins. What is no pin may differ: of a Kubernetes object
the body, of a tool nothing, and what the rule's `widen` names. Values are sealed, as in an intent: equal secrets are
equal pins, and a digest gives none away.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from math import inf

from holdpoint.approvals.terms import Reach, key_of, reach
from holdpoint.approvals.window_words import Words, arguments_of, is_taken_apart, name_of, sentence, tail
from holdpoint.domain.access import AccessRequest, KubeObject, Principal, Protocol
from holdpoint.domain.approval import ApprovalRequest, Ask
from holdpoint.domain.canonical import digest
from holdpoint.domain.decision import RequireApproval, Scope
from holdpoint.domain.grant import Grant
from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.protocols.kubernetes.built_in import honours_dry_run
from holdpoint.store.protocol import Key

_NOTHING: JsonObject = {}
_UNPINNED = frozenset(
    {
        # Pinned by their own words, or always.
        *("labelSelector", "fieldSelector", "container", "command", "stdin", "tty", "ports", "dryRun", "watch"),
        # How a change is made, which is of the body as well as of the query.
        *("fieldManager", "fieldValidation", "force", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"),
        # Where and how a list, a watch or a log begins and ends, and which streams an exec has beside its input.
        *("continue", "limit", "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "stderr", "stdout"),
        *("follow", "limitBytes", "previous", "sinceSeconds", "sinceTime", "tailLines", "timestamps"),
    }
)
"""Keys of a query (Kubernetes API, common parameters) that a window does not pin. What is not known is pinned."""
_WITH_ARGUMENTS = frozenset({"tools/call", "prompts/get"})
_AS_ASKED = "this very request alone: the rules changed after it was asked"


@dataclass(frozen=True, slots=True)
class Window:
    """What an approval of a request opens."""

    digest: str
    """Of what is pinned; empty where the approval is for this request alone."""
    opens: str
    """The sentence that says so. Masked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that a grant is to clear."""

    key: Key
    """Who asks, through which agent, of which target, and the intent."""
    session: str = ""
    window: str = ""

    def is_of(self, grant: Grant, approval: ApprovalRequest) -> bool:
        """Tell whether a grant is for this request: for its intent, or for a window that it lies in."""
        given = key_of(approval.ask)
        if (given.principal, given.actor, given.target) != (self.key.principal, self.key.actor, self.key.target):
            return False
        if grant.scope is Scope.SESSION and (not self.session or grant.session != self.session):
            return False
        is_in_window = grant.scope is not Scope.REQUEST and bool(grant.window) and grant.window == self.window
        return grant.intent == self.key.intent or is_in_window


def asked_by(ask: Ask) -> Asked:
    """Return what a grant has to clear."""
    return Asked(key_of(ask), ask.session, ask.window)


def window(
    access: AccessRequest,
    intent: JsonValue,
    carries: Reach,
    words: Words,
    *,
    bound: JsonObject = _NOTHING,
) -> Window:
    """Return what an approval of a request would open that reaches so far.

    `intent` is sealed; `bound` are the approved definitions of the tools that it names.
    """
    opens = sentence(access, intent, carries, words)
    if carries.scope is Scope.REQUEST:
        return Window("", opens)
    found = pins(access, intent, carries.widen)
    said: JsonObject = {"v": 1, **through(access.principal), "target": access.target, "pins": found}
    return Window(digest({**said, "pinned": bound} if bound else said), opens)


def pins(access: AccessRequest, intent: JsonValue, widen: AbstractSet[str]) -> JsonObject:
    """Return what a window pins of a request, by name. What it cannot take apart it pins whole."""
    said = as_object(intent)
    if not said:
        return {"request": intent}
    match access.action.protocol:
        case Protocol.KUBERNETES:
            return _kubernetes(access, said, widen)
        case Protocol.MCP:
            return _mcp(access, said, widen)
        case Protocol.HTTP:
            return {"request": said}


def narrowed(old: Ask, new: Ask) -> Ask:
    """Return `new`, which is `old` under other terms, with a window only where it would be cut in the same way now."""
    before, now = reach(old.terms, old.session), reach(new.terms, new.session)
    if before == now:
        return new
    if (before.scope, before.widen) != (now.scope, now.widen):
        return replace(new, window="", opens=_AS_ASKED + tail(now))
    return replace(new, opens=new.opens.removesuffix(tail(before)) + tail(now)) if new.opens else new


def stream_end(grant: Grant | None, terms: Sequence[RequireApproval]) -> float:
    """Return when a stream ends that a request opened under these terms: Unix seconds, infinity: with its token.

    Of a window or a session, with the grant. Of one that is spent once, at the end of the time that a rule gives.
    """
    if grant is None:
        return inf
    if grant.scope is not Scope.REQUEST:
        return min(grant.expires_at, grant.stream_until or inf)
    return min(grant.stream_until or inf, grant.created_at + reach(terms, grant.session).stream_seconds)


def through(principal: Principal) -> JsonObject:
    """Return who asks, and every agent and server that it comes through."""
    return {
        "principal": principal.id,
        "actor": principal.actor.id if principal.actor else "",
        "legs": [through(leg) for leg in principal.legs],
    }


def _kubernetes(access: AccessRequest, said: JsonObject, widen: AbstractSet[str]) -> JsonObject:
    what, verb = access.resource, access.action.verb
    if not isinstance(what, KubeObject) or not is_taken_apart(access, said):
        return {"request": said}
    options, query = what.options, as_object(said.get("query"))
    # Kept whatever is widened: one object is not all of them, one namespace not every one, and a trial no change; nor
    # is a namespace, which goes with all that is in it, one of the objects inside, though its own is the same word.
    found: JsonObject = {
        "is_namespace": (what.group, what.resource) == ("", "namespaces"),
        "subresource": what.subresource,
        "is_named": bool(what.name) or verb == "create",
        "is_namespaced": bool(what.namespace),
        "dry_run": options.dry_run,
        "is_heeded": options.dry_run and honours_dry_run(verb, what.group, what.resource, what.subresource),
        "as": said.get("as"),
        "path": said.get("path"),
        "query": {key: value for key, value in query.items() if key not in _UNPINNED},
    }
    by_word: Mapping[str, JsonObject] = {
        "verb": {"verb": verb, "creates": options.patch == "apply"},
        "resource": {"group": what.group, "version": what.version, "resource": what.resource},
        "name": {"name": [*name_of(what, said)]},
        "namespace": {"namespace": said.get("namespace")},
        "selectors": {"labels": query.get("labelSelector"), "fields": query.get("fieldSelector")},
        "container": {"container": query.get("container")},
        "command": {"command": query.get("command"), "stdin": options.stdin, "tty": options.tty},
        "ports": {"ports": [*options.ports]},
    }
    for word, pinned in by_word.items():
        if word not in widen:
            found |= pinned
    return found


def _mcp(access: AccessRequest, said: JsonObject, widen: AbstractSet[str]) -> JsonObject:
    is_split, arguments = arguments_of(said)
    if access.members or access.action.verb not in _WITH_ARGUMENTS or not widen or not is_split:
        return {"request": said}
    kept: JsonObject = {name: value for name, value in as_object(said["params"]).items() if name != "arguments"}
    if "arguments" not in widen:
        # Told apart by name: what is not there is not what is null. Arguments that were masked whole stay whole.
        kept["arguments"] = (
            {n: v for n, v in arguments.items() if f"arguments.{n}" not in widen}
            if isinstance(arguments, dict)
            else arguments
        )
    return {"request": {**said, "params": kept}}
