"""What a tool did at a cluster before: shown to who reviews its next call, as history and not as a promise.

In memory, since the gateway started: the recordings hold the same for ever, and are too large to be read for a page.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from holdpoint.domain.access import AccessRequest, McpTool
from holdpoint.domain.approval import Ask
from holdpoint.domain.canonical import digest
from holdpoint.domain.values import JsonObject

MOST_TOOLS: Final = 1_000
MOST_CALLS: Final = 2_000
MOST_LINES: Final = 20
"""Requests of one call that are kept."""

type _Tool = tuple[str, str]


@dataclass(slots=True)
class _Call:
    tool: _Tool
    arguments: str
    """Digest: what a call said is kept nowhere in the clear."""
    at: float
    lines: list[str] = field(default_factory=list[str])
    more: int = 0


class LinkedHistory:
    """The last call of each tool that brought requests to a cluster."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._last: OrderedDict[_Tool, str] = OrderedDict()

    def note(self, exchange: str, access: AccessRequest, shown: str, at: float) -> None:
        """Note a request that is sent: a call of a tool, or one at a cluster that serves such a call.

        `shown` names its resource as it may be kept; `at` is Unix seconds.
        """
        if isinstance(access.resource, McpTool):
            self._calls[exchange] = _Call(_tool(access), digest(dict(access.arguments)), at)
            while len(self._calls) > MOST_CALLS:
                self._calls.popitem(last=False)
        elif (call := self._calls.get(access.principal.call)) is not None:
            self._last[call.tool] = access.principal.call
            self._last.move_to_end(call.tool)
            while len(self._last) > MOST_TOOLS:
                self._last.popitem(last=False)
            if len(call.lines) < MOST_LINES:
                call.lines.append(f"{access.action.verb} {shown} at {access.target}")
            else:
                call.more += 1

    def lines(self, ask: Ask) -> list[JsonObject]:
        """Return what the tool of a call did at clusters when it was last called. Empty: nothing is known."""
        if not isinstance(ask.access.resource, McpTool):
            return []
        call = self._calls.get(self._last.get(_tool(ask.access), ""))
        if call is None:
            return []
        same = call.arguments == digest(dict(ask.access.arguments))
        more = f", and {call.more} more" if call.more else ""
        made = f"with {'the same' if same else 'other'} arguments, made {len(call.lines)} requests{more}"
        lines: list[JsonObject] = [{"what": "owned", "text": text} for text in call.lines]
        return [{"what": "note", "text": f"history, no promise: its last call that reached a cluster, {made}"}, *lines]


def _tool(access: AccessRequest) -> _Tool:
    return access.target, access.resource.name if isinstance(access.resource, McpTool) else ""
