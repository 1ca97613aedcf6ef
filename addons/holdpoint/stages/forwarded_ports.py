"""Ports that a port-forward opens one by one: over SPDY the request names none, so each is decided when it is."""

import re
from dataclasses import replace
from typing import Final

from holdpoint.domain.access import KubeObject
from holdpoint.domain.decision import Deny
from holdpoint.domain.exchange import Permitted
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.settings import Target, TargetMode
from holdpoint.stages.services import Services

_NAME: Final = re.compile(r"port:([0-9]{1,5}):(?:data|error)")


class Ports:
    """Which ports one connection may forward."""

    def __init__(self, services: Services, target: Target, permitted: Permitted) -> None:
        self._services = services
        self._target = target
        self._permitted = permitted
        self._decided: set[str] = set()
        self._bundle = permitted.decision.bundle

    def check(self, stream: str) -> None:
        """Let the stream of a port pass, by its name. Raises Refusal. A stream that is of no port passes."""
        if not stream.startswith("port:"):
            return
        if self._bundle != (now := self._services.policies.bundle.hash):
            self._bundle = now
            self._decided.clear()
        if stream in self._decided:
            return
        named = _NAME.fullmatch(stream)
        if named is None:
            raise GatewayFault("a stream has a name that nobody gives")
        self._decide(int(named[1]))
        self._decided |= {f"port:{named[1]}:data", f"port:{named[1]}:error"}

    def _decide(self, port: int) -> None:
        access = self._permitted.decoded.access
        resource = access.resource
        if not isinstance(resource, KubeObject) or access.action.verb != "portforward":
            raise Refusal(RefusalKind.DENIED, "a port was opened on a connection that forwards none")
        if port in resource.options.ports or self._target.mode is TargetMode.OBSERVE:
            return
        if resource.options.ports:
            raise Refusal(RefusalKind.DENIED, f"port {port} was not asked for")
        asked = replace(access, resource=replace(resource, options=replace(resource.options, ports=(port,))))
        decision = self._services.policies.engine.decide(asked)
        if isinstance(decision, Deny):
            rules = ", ".join(map(str, decision.rules))
            detail = f"{decision.reason.value} {rules}".rstrip()
            raise Refusal(RefusalKind.DENIED, decision.message or f"policy does not allow port {port}", detail=detail)
        if not set(decision.approvals) <= set(self._permitted.decision.approvals):
            raise Refusal(RefusalKind.DENIED, f"port {port} needs an approval that this connection does not have")
