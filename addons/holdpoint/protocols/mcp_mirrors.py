"""Headers that repeat what the body says (MCP 2026-07-28, streamable HTTP, request metadata): they must say the same.

Whoever stands on the way may decide by them, while the server does what the body says. Every version is held to it:
before 2026-07-28 they need not be there, and may not be trusted.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from holdpoint.domain.values import JsonMapping, JsonValue
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.headers import Index, sentinel
from holdpoint.protocols.mcp_methods import method_of
from holdpoint.protocols.mcp_version import mismatch

type Mirrors = Callable[[str], Mapping[str, str]]
"""From a tool's name to its mirrored arguments: by header in lower case (`mcp-param-region`) a JSON Pointer (RFC 6901)
to the place in `arguments` (`/region`). Empty for a tool that has none, or that nobody here has seen."""

_DECIMAL = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?")
"""Longer numbers are no integers that JavaScript keeps, and so not mirrored (custom headers, schema extension)."""


def check(index: Index, message: jsonrpc.Message, *, required: bool) -> None:
    """Compare `Mcp-Method` and `Mcp-Name` with the body. Raises Undecodable (-32020)."""
    method_header, name_header = index.get(b"mcp-method"), index.get(b"mcp-name")
    match message:
        case jsonrpc.Request(_, verb, params):
            pass
        case jsonrpc.Notification(verb, params):
            required = False
        case _:
            if method_header is not None or name_header is not None:
                raise mismatch("`Mcp-Method` and `Mcp-Name` do not belong on a response")
            return
    if method_header is None:
        if required:
            raise mismatch("`Mcp-Method` is missing")
    elif method_header != verb:
        raise mismatch("`Mcp-Method` and the body name different methods")
    if name_header is None:
        if required and method_of(verb).needs_mirror:
            raise mismatch("`Mcp-Name` is missing")
        return
    key = method_of(verb).mirror
    if not key or sentinel(name_header) != params.get(key):
        raise mismatch("`Mcp-Name` and the body name different things")


def check_none(index: Index) -> None:
    """Refuse both headers on what has no method and no name of its own. Raises Undecodable (-32020)."""
    if index.get(b"mcp-method") is not None or index.get(b"mcp-name") is not None:
        raise mismatch("`Mcp-Method` and `Mcp-Name` do not belong on a batch")


def check_arguments(
    headers: Mapping[str, str], arguments: JsonMapping, mirrors: Mapping[str, str], *, required: bool
) -> None:
    """Compare the `Mcp-Param-*` headers that a tool's schema knows with the arguments. Raises Undecodable (-32020).

    `headers` are decoded, by lower-case name. One that no schema knows is not looked at. An argument that is absent or
    null has no header; one that has a value has one, where that is `required` (custom headers, server behaviour).
    """
    for name, pointer in mirrors.items():
        header, value = headers.get(name), _at(arguments, pointer)
        if header is None:
            if required and isinstance(value, (str, bool, int, float)):
                raise mismatch("an argument that has an `Mcp-Param` header of its own lacks it")
        elif not _is_same(header, value):
            raise mismatch("an `Mcp-Param` header and its argument differ")


def _is_same(header: str, value: JsonValue) -> bool:
    match value:
        case str():
            return header == value
        case bool():
            return header == ("true" if value else "false")
        case int() | float():
            # `42.0` is `42` (server validation). Not by way of doubles: two integers may share one.
            return _DECIMAL.fullmatch(header) is not None and Decimal(header) == _decimal(value)
        case _:
            return False


def _decimal(value: float) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(repr(value))


def _at(arguments: JsonMapping, pointer: str) -> JsonValue:
    value: JsonValue = dict(arguments)
    for step in pointer.split("/")[1:]:
        if not isinstance(value, dict):
            return None
        value = value.get(step.replace("~1", "/").replace("~0", "~"))
    return value
