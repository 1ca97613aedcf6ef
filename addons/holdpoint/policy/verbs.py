"""The verbs of each protocol: what a rule may name, so that a slip in a deny rule is an error and not a hole."""

from holdpoint.protocols.kubernetes.request_info import STREAMS

MCP_NAMED: dict[str, str] = {
    "tools/call": "tools",
    "prompts/get": "prompts",
    "resources/read": "uris",
    "resources/subscribe": "uris",
    "resources/unsubscribe": "uris",
}
"""Verbs that are about a named thing, and the key of a match that names it."""

MCP_MAY_NAME: dict[str, frozenset[str]] = {
    "completion/complete": frozenset({"prompts", "uris"}),
    "subscriptions/listen": frozenset({"uris"}),
}
"""Verbs that are about a named thing at times, and the keys that name it."""

MCP_OF_SERVERS = frozenset({"elicitation/create", "roots/list", "sampling/createMessage"})
"""What a server asks of its client: named by `server_requests`, with the method for its verb."""

RESPONSE = "response"
"""The client's answer to what a server asks."""

BATCH = "batch"
"""Several messages in one request: each is decided by itself, and the verb by no rule."""

MCP_PLAIN = frozenset(
    {
        "completion/complete",
        "elicitation/create",
        "initialize",
        "logging/setLevel",
        "notifications/cancelled",
        "notifications/elicitation/complete",
        "notifications/initialized",
        "notifications/message",
        "notifications/progress",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/roots/list_changed",
        "notifications/tools/list_changed",
        "ping",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "response",
        "roots/list",
        "sampling/createMessage",
        "server/discover",
        "session/delete",
        "session/listen",
        "subscriptions/listen",
        "tasks/cancel",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "tasks/update",
        "tools/list",
    }
)
"""Verbs that name nothing. `session/listen`, `session/delete` and `response` are the gateway's own words for a GET, a
DELETE and an answer that a client posts."""

MCP = MCP_PLAIN | MCP_NAMED.keys()

HTTP = frozenset(
    {
        "acl",
        "baseline-control",
        "bind",
        "checkin",
        "checkout",
        "connect",
        "copy",
        "delete",
        "get",
        "head",
        "label",
        "link",
        "lock",
        "merge",
        "mkactivity",
        "mkcalendar",
        "mkcol",
        "mkredirectref",
        "mkworkspace",
        "move",
        "options",
        "orderpatch",
        "patch",
        "post",
        "pri",
        "propfind",
        "proppatch",
        "purge",
        "put",
        "query",
        "rebind",
        "report",
        "search",
        "trace",
        "unbind",
        "uncheckout",
        "unlink",
        "unlock",
        "update",
        "updateredirectref",
        "version-control",
    }
)
"""The methods that IANA registers (RFC 9110 section 16.1), and `purge`, in lower case."""

KUBERNETES_STREAMS = STREAMS
"""Verbs of the gateway's own: each is about the subresource of the same name."""

COPY = "cp"
"""An exec whose command is what `kubectl cp` runs. Rules that restrict count it as exec, rules that allow name it."""

IMPERSONATE = "impersonate"
"""What `--as` asks for: on users, groups, serviceaccounts, userextras and uids. Rules that allow it must name it."""

KUBERNETES_BY_NAME = frozenset({COPY, IMPERSONATE})
"""Verbs that no glob of an allow rule matches."""

KUBERNETES_IMPLIED = {COPY: "exec", "deletecollection": "delete"}
"""Verbs that count as another for rules that restrict."""

KUBERNETES = KUBERNETES_STREAMS | {
    COPY,
    IMPERSONATE,
    "create",
    "delete",
    "deletecollection",
    "get",
    "head",
    "list",
    "options",
    "patch",
    "post",
    "put",
    "update",
    "watch",
}
"""Verbs of RequestInfo, and the lower-case methods that non-resource paths have for verbs."""

KUBERNETES_COLLECTIONS = frozenset({"deletecollection", "list", "watch"})
"""Verbs that reach many objects at once."""
