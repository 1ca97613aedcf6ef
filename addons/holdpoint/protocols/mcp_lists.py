"""Lists that an MCP server gives: what each entry stands for, and the list without some of them.

Nothing here changes the value it is given: what changed is new, so that what did not is sent on byte for byte.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from holdpoint.domain.access import McpPrompt, McpResource, McpTool, Resource
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.mcp_version import SUPPORTED

PRIVATE: Final = "private"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of list."""

    member: str
    """Where the list stands in a result."""
    named_by: str
    """Member of an entry by which callers name it."""
    verb: str
    """Verb by which an entry is used."""
    make: Callable[[str], Resource]

    def resource(self, item: JsonValue) -> Resource | None:
        """Return what an entry stands for; None where nobody could name it."""
        name = item.get(self.named_by) if isinstance(item, dict) else None
        if not isinstance(name, str) or not name or not name.isprintable() or name != name.strip():
            return None
        return self.make(name)


KINDS: Final = {
    "tools/list": Kind("tools", "name", "tools/call", McpTool),
    "prompts/list": Kind("prompts", "name", "prompts/get", McpPrompt),
    "resources/list": Kind("resources", "uri", "resources/read", McpResource),
    "resources/templates/list": Kind("resourceTemplates", "uriTemplate", "resources/read", McpResource),
}
"""Kinds of lists by the verb that asks for one."""

_MEMBERS: Final = frozenset({*(kind.member for kind in KINDS.values()), "nextCursor"})

_CONTENT: Final = frozenset({"tools/call", "prompts/get", "resources/read", "completion/complete"})
"""Verbs whose results are content, in which a member that is called `tools` is no list of tools."""


def lists_in(verb: str, result: JsonObject) -> Sequence[Kind]:
    """Return the kinds of lists that a result of that verb holds, by what it is, whatever it should be.

    Raises Undecodable where a lax client could find a list that is none here.
    """
    if verb in _CONTENT:
        return ()
    if any(jsonrpc.is_lookalike(key, _MEMBERS) for key in result.keys() - _MEMBERS):
        raise Undecodable("a member looks like a list", code=jsonrpc.INVALID_REQUEST)
    asked = KINDS.get(verb)
    return [k for k in KINDS.values() if k.member in result and (k is asked or isinstance(result[k.member], list))]


def filtered(
    result: JsonObject, kind: Kind, shown: Callable[[Sequence[Resource]], Sequence[bool]]
) -> tuple[JsonObject, int]:
    """Return a result with only those entries that are shown, in their order, and how many are not.

    An entry that nobody could name is not shown. What is no list at all is emptied.
    """
    found = result[kind.member]
    items: list[JsonValue] = found if isinstance(found, list) else []
    named = [(item, resource) for item in items if (resource := kind.resource(item)) is not None]
    answers = shown([resource for _, resource in named])
    kept = [item for (item, _), is_shown in zip(named, answers, strict=True) if is_shown]
    if isinstance(found, list) and len(kept) == len(items):
        return result, 0
    return {**result, kind.member: kept}, max(len(items) - len(kept), 1)


def for_one_caller(result: JsonObject, *, ttl_ms: int | None = None) -> JsonObject:
    """Return a result that no cache may give to another caller (2026-07-28, `cacheScope`), nor keep for longer.

    `ttl_ms` is the most that `ttlMs` may say; None leaves it alone.
    """
    ttl = result.get("ttlMs")
    known = isinstance(ttl, (int, float)) and not isinstance(ttl, bool)
    wanted: JsonObject = {"cacheScope": PRIVATE}
    if ttl_ms is not None and not (known and isinstance(ttl, (int, float)) and 0 <= ttl <= ttl_ms):
        wanted["ttlMs"] = ttl_ms
    return result if all(result.get(key) == value for key, value in wanted.items()) else {**result, **wanted}


def with_our_versions(result: JsonObject) -> JsonObject:
    """Return a result of `server/discover` that offers only versions which the gateway speaks too."""
    offered = result.get("supportedVersions")
    if not isinstance(offered, list):
        return result
    kept: list[JsonValue] = [v for v in offered if v in SUPPORTED]
    return result if len(kept) == len(offered) else {**result, "supportedVersions": kept}
