"""What clients ask, as the gateway's own decoders read it, sealed as it is before it is held."""

import json
from dataclasses import dataclass, replace
from typing import Any

from tests.fakes.policies import ADA

from holdpoint.approvals.terms import Reach
from holdpoint.approvals.window_words import Words
from holdpoint.approvals.windows import Window, window
from holdpoint.domain.access import AccessRequest, Actor, Principal
from holdpoint.domain.decision import Scope
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.protocols import mcp
from holdpoint.protocols.call import Call
from holdpoint.protocols.kubernetes import decode as kubernetes
from holdpoint.stages import kube_words
from holdpoint.stages.preview import sealed_intent

KEY = bytes(range(32))
PLAIN = compile_masks([], key=KEY)
ANA = replace(ADA, subject="ana", person="ana@x", actor=Actor("claude", ADA.issuer))
ONCE = Reach(Scope.REQUEST, 0.0)


def for_time(*widen: str, scope: Scope = Scope.WINDOW, seconds: float = 900.0) -> Reach:
    return Reach(scope, seconds, seconds, frozenset(widen))


@dataclass(frozen=True)
class Asked:
    access: AccessRequest
    intent: JsonValue
    masker: Masker = PLAIN

    def window(self, carries: Reach, **bound: JsonValue) -> Window:
        words = Words(
            lambda text: self.masker.text(text).value,
            kube_words.command_of(self.intent),
            tuple(kube_words.acts_for(self.access, self.masker)),
        )
        return window(self.access, self.intent, carries, words, bound=bound)


def kube(  # all that a request has
    method: str,
    path: str,
    body: Any = None,
    *,
    type_: str = "",
    who: Principal = ANA,
    target: str = "prod",
    masker: Masker = PLAIN,
    **headers: str,
) -> Asked:
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    types = {"PATCH": "application/merge-patch+json"}
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if raw:
        given.append((b"content-type", (type_ or types.get(method, "application/json")).encode()))
    call = kubernetes.decode(method=method, path=path, headers=tuple(given), body=raw)
    return _asked(call, who, target, masker, is_kube=True)


def tool(
    name: str,
    arguments: Any = None,
    *,
    who: Principal = ANA,
    target: str = "tools",
    masker: Masker = PLAIN,
    **more: Any,
) -> Asked:
    params = {"name": name, **({} if arguments is None else {"arguments": arguments}), **more}
    return message("tools/call", params, who=who, target=target, masker=masker)


def message(method: str, params: Any, *, who: Principal = ANA, target: str = "tools", masker: Masker = PLAIN) -> Asked:
    return posted(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, who=who, target=target, masker=masker
    )


def posted(
    body: Any, *, who: Principal = ANA, target: str = "tools", masker: Masker = PLAIN, version: str = "2025-06-18"
):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = ((b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream"))
    call = mcp.decode(method="POST", headers=(*headers, (b"mcp-protocol-version", version.encode())), body=raw)
    return _asked(call, who, target, masker)


def _asked(call: Call, who: Principal, target: str, masker: Masker, *, is_kube: bool = False) -> Asked:
    def access(one: Call) -> AccessRequest:
        members = tuple(access(m) for m in one.members)
        return AccessRequest(who, target, one.action, one.resource, one.arguments, members=members)

    found = access(call)
    return Asked(found, sealed_intent(call.intent, masker, KEY, access=found if is_kube else None), masker)
