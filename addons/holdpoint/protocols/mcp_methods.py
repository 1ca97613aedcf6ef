"""Every method of MCP, by version and direction: what it is about, and whether it changes anything.

Sources: the schemas of 2025-03-26, 2025-06-18, 2025-11-25 and 2026-07-28, and the tasks extension of 2026-07-28. The
same table for readers: docs/reference/mcp-decoding.md.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from holdpoint.protocols.mcp_version import LEGACY, MODERN

BATCH = "batch"
LISTEN = "session/listen"
DELETE = "session/delete"
RESPONSE = "response"
OURS = frozenset({BATCH, LISTEN, DELETE, RESPONSE})
"""Verbs for what has no method of its own. No client can take one for a method."""

_LEGACY = frozenset(LEGACY)
_MODERN = frozenset(MODERN)
_ALL = _LEGACY | _MODERN
_SINCE_2025_06 = _LEGACY - {"2025-03-26"}
_2025_11 = frozenset({"2025-11-25"})
_NONE = frozenset[str]()


class About(Enum):
    """What a method's parameters name."""

    NOTHING = auto()
    TOOL = auto()
    """`name`."""
    PROMPT = auto()
    """`name`."""
    RESOURCE = auto()
    """`uri`."""
    REFERENCE = auto()
    """`ref`: a prompt, or a resource by the template of its URI."""
    FILTER = auto()
    """`notifications`: the events that a stream is to carry, some of them by URI or task."""
    TASK = auto()
    """`taskId`."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    name: str
    by_client: frozenset[str] = _NONE
    """Versions in which a client sends it."""
    by_server: frozenset[str] = _NONE
    """Versions in which a server sends it: as a message, or (2026-07-28) inside `inputRequests`."""
    about: About = About.NOTHING
    writes: bool = True
    mirror: str = ""
    """Parameter that `Mcp-Name` repeats."""
    needs_mirror: bool = False
    """Whether 2026-07-28 refuses it without."""
    takes_rounds: bool = False
    """Whether a call of it may go on with `requestState` and `inputResponses` (2026-07-28)."""


_READ = (
    Method("initialize", _LEGACY),
    Method("ping", _LEGACY, _LEGACY),
    Method("server/discover", _MODERN),
    Method("tools/list", _ALL),
    Method("prompts/list", _ALL),
    Method("prompts/get", _ALL, about=About.PROMPT, mirror="name", needs_mirror=True, takes_rounds=True),
    Method("resources/list", _ALL),
    Method("resources/templates/list", _ALL),
    Method("resources/read", _ALL, about=About.RESOURCE, mirror="uri", needs_mirror=True, takes_rounds=True),
    Method("completion/complete", _ALL, about=About.REFERENCE),
    Method("subscriptions/listen", _MODERN, about=About.FILTER),
    Method("tasks/get", _2025_11 | _MODERN, _2025_11, about=About.TASK, mirror="taskId"),
    Method("tasks/result", _2025_11, _2025_11, about=About.TASK),
    Method("tasks/list", _2025_11, _2025_11),
    Method("notifications/initialized", _LEGACY),
    Method("notifications/progress", _LEGACY, _ALL),
    Method("notifications/roots/list_changed", _LEGACY),
)

_WRITE = (
    Method("tools/call", _ALL, about=About.TOOL, mirror="name", needs_mirror=True, takes_rounds=True),
    Method("resources/subscribe", _LEGACY, about=About.RESOURCE),
    Method("resources/unsubscribe", _LEGACY, about=About.RESOURCE),
    Method("logging/setLevel", _LEGACY),
    Method("tasks/cancel", _2025_11 | _MODERN, _2025_11, about=About.TASK, mirror="taskId"),
    Method("tasks/update", _MODERN, about=About.TASK, mirror="taskId"),
    # 2026-07-28 has it for stdio alone, where nothing else cancels; over HTTP servers take it and do nothing.
    Method("notifications/cancelled", _ALL, _ALL),
    Method("notifications/tasks/status", _2025_11, _2025_11),
)

_OF_SERVERS = (
    Method("sampling/createMessage", by_server=_ALL),
    Method("roots/list", by_server=_ALL),
    Method("elicitation/create", by_server=_SINCE_2025_06 | _MODERN),
    Method("notifications/message", by_server=_ALL),
    Method("notifications/tools/list_changed", by_server=_ALL),
    Method("notifications/prompts/list_changed", by_server=_ALL),
    Method("notifications/resources/list_changed", by_server=_ALL),
    Method("notifications/resources/updated", by_server=_ALL),
    Method("notifications/elicitation/complete", by_server=_2025_11),
    Method("notifications/subscriptions/acknowledged", by_server=_MODERN),
    Method("notifications/tasks", by_server=_MODERN),
)

METHODS: dict[str, Method] = {m.name: m for m in (*(replace(m, writes=False) for m in _READ), *_WRITE, *_OF_SERVERS)}
"""By name. A method that is not here is an extension's: it names nothing that the gateway knows, and is a write."""

READS = frozenset({name for name, method in METHODS.items() if not method.writes} | {LISTEN})
"""Verbs that change nothing. Every other verb counts as a write."""

ASKED_OF_CLIENTS = frozenset({"sampling/createMessage", "roots/list", "elicitation/create"})
"""What a server asks of its client. What a server sends beside, it tells."""

_UNKNOWN = Method("")


def method_of(verb: str) -> Method:
    """Return what is known of a method."""
    return METHODS.get(verb, _UNKNOWN)


def is_sent_by_clients(method: Method, version: str, *, is_certain: bool) -> bool:
    """Tell whether a client sends it. One that nobody here knows counts as sent.

    `is_certain` is False where no header said the version: the session may have agreed on any version with sessions
    (2025-06-18, transports), so a method of any of them counts.
    """
    if method is _UNKNOWN:
        return True
    return version in method.by_client if is_certain else not method.by_client.isdisjoint(_LEGACY)
