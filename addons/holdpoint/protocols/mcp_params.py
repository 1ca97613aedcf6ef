"""What the parameters of an MCP message name, and where they could be read in two ways."""

from holdpoint.domain.access import McpMethod, McpPrompt, McpResource, McpTool, Resource
from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.mcp_methods import About, Method
from holdpoint.protocols.mcp_uri import is_ambiguous
from holdpoint.protocols.mcp_version import CAPABILITIES, CLIENT_INFO, VERSION

MOST_LISTENED = 1_000
"""Resources and tasks that one stream may be asked to tell of. Each is decided by itself."""

_PARAMS = frozenset(
    {
        *("_meta", "argument", "arguments", "capabilities", "clientInfo", "context", "cursor", "inputResponses"),
        *("level", "name", "notifications", "protocolVersion", "ref", "requestId", "requestState", "task", "taskId"),
        "uri",
    }
)
"""Parameters that decide what a call does; nothing else may look like one of them."""
_META = frozenset({VERSION, CAPABILITIES, CLIENT_INFO, "progressToken", "io.modelcontextprotocol/logLevel"})
_REF = frozenset({"type", "name", "uri"})
_FILTER = frozenset(
    {"promptsListChanged", "resourceSubscriptions", "resourcesListChanged", "taskIds", "toolsListChanged"}
)


def named(method: Method, params: JsonObject) -> tuple[Resource, JsonObject, str]:
    """Return what a message is about: the thing, the arguments, and the id of a task.

    Raises Undecodable (-32602) where that is not a name beyond doubt.
    """
    match method.about:
        case About.TOOL:
            return McpTool(name_of(params, "name")), arguments_of(params), ""
        case About.PROMPT:
            return McpPrompt(name_of(params, "name")), arguments_of(params), ""
        case About.RESOURCE:
            return McpResource(uri_of(params.get("uri"))), without_meta(params), ""
        case About.REFERENCE:
            return _referred(params.get("ref")), without_meta(params), ""
        case About.TASK:
            return McpMethod(), without_meta(params), name_of(params, "taskId")
        case About.NOTHING | About.FILTER:
            return McpMethod(), without_meta(params), ""


def listened(params: JsonObject) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the URIs and task ids that `subscriptions/listen` asks to be told of, each once. Raises Undecodable."""
    wanted = params.get("notifications", {})
    if not isinstance(wanted, dict):
        raise invalid("`notifications` is not an object")
    if any(jsonrpc.is_lookalike(key, _FILTER) for key in wanted.keys() - _FILTER):
        raise invalid("a member of `notifications` looks like one that the protocol knows")
    uris, tasks = _list(wanted, "resourceSubscriptions"), _list(wanted, "taskIds")
    if len(uris) + len(tasks) > MOST_LISTENED:
        raise invalid(f"one stream tells of at most {MOST_LISTENED} resources and tasks")
    return tuple(dict.fromkeys(map(uri_of, uris))), tuple(dict.fromkeys(_name(t, "taskIds") for t in tasks))


def rounds(method: Method, params: JsonObject, *, is_modern: bool) -> tuple[str, JsonMapping]:
    """Return `requestState` and `inputResponses` of a message that has either. Raises Undecodable where none belongs.

    `null` is nothing said, as the conformance suite has it. Source: 2026-07-28, multi round-trip requests, supported
    requests; tasks extension, `tasks/update`.
    """
    state, responses = params.get("requestState"), params.get("inputResponses")
    is_update = method.name == "tasks/update"
    if not (is_modern and (method.takes_rounds or (is_update and state is None))):
        raise invalid("`requestState` and `inputResponses` do not belong on this method")
    if state is not None and not (isinstance(state, str) and state):
        raise invalid("`requestState` is not a string that says something")
    if responses is not None and not isinstance(responses, dict):
        raise invalid("`inputResponses` is not an object")
    return state or "", responses or {}


def check_keys(params: JsonObject) -> JsonObject:
    """Return `_meta`. Raises Undecodable where a parameter could be taken for another, or `_meta` is no object."""
    if left := params.keys() - _PARAMS:
        if any(jsonrpc.is_lookalike(key, _PARAMS) for key in left):
            raise invalid("a parameter looks like one that the protocol knows")
        if len({_folded(key) for key in left}) != len(left):
            raise invalid("two parameters differ only in case")
    meta = params.get("_meta", {})
    if not isinstance(meta, dict):
        raise invalid("`_meta` is not an object")
    if any(jsonrpc.is_lookalike(key, _META) for key in meta.keys() - _META):
        raise invalid("a member of `_meta` looks like one that the protocol knows")
    return meta


def without_meta(params: JsonObject) -> JsonObject:
    """Return the parameters that the method itself has."""
    return {key: value for key, value in params.items() if key != "_meta"} if "_meta" in params else params


def arguments_of(params: JsonObject) -> JsonObject:
    """Return `arguments`. Raises Undecodable where they are no object, or two of them could be one."""
    arguments = params.get("arguments", {})
    if not isinstance(arguments, dict):
        raise invalid("`arguments` is not an object")
    # Servers that decode into structs may take `Name` for `name`; with both there, who knows which one counts.
    if len(arguments) > 1 and len({_folded(key) for key in arguments}) != len(arguments):
        raise invalid("two arguments differ only in case")
    return arguments


def name_of(params: JsonObject, key: str) -> str:
    """Return the name that a parameter is. Raises Undecodable."""
    return _name(params.get(key), key)


def uri_of(value: JsonValue) -> str:
    """Return the URI that `value` is. Raises Undecodable."""
    uri = _name(value, "uri")
    if is_ambiguous(uri):
        raise invalid("`uri` can be read in more than one way")
    return uri


def invalid(message: str) -> Undecodable:
    """Return the error for parameters."""
    return Undecodable(message, code=jsonrpc.INVALID_PARAMS)


def _referred(value: JsonValue) -> Resource:
    """Return what a completion is for. What may be asked for by name or by template, may be completed."""
    ref = as_object(value)
    if any(jsonrpc.is_lookalike(key, _REF) for key in ref.keys() - _REF):
        raise invalid("a member of `ref` looks like one that the protocol knows")
    match ref.get("type"):
        case "ref/prompt" if "uri" not in ref:
            return McpPrompt(name_of(ref, "name"))
        case "ref/resource" if "name" not in ref:
            return McpResource(uri_of(ref.get("uri")))
        case _:
            raise invalid("`ref` is neither a prompt nor a resource")


def _list(wanted: JsonObject, key: str) -> list[JsonValue]:
    items = wanted.get(key, [])
    if not isinstance(items, list):
        raise invalid(f"`{key}` is not an array")
    return items


def _name(value: JsonValue, key: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or value != value.strip():
        raise invalid(f"`{key}` is not a name")
    return value


def _folded(key: str) -> str:
    return key.casefold() if key.isprintable() else "".join(c for c in key if c.isprintable()).casefold()
