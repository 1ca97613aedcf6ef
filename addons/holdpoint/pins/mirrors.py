"""Arguments that a tool wants repeated in headers (`x-mcp-header`; MCP 2026-07-28, streamable HTTP, custom headers)."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from holdpoint.domain.values import JsonObject, JsonValue, as_object

PREFIX: Final = "mcp-param-"
_KEY: Final = "x-mcp-header"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TYPES: Final = ("string", "integer", "boolean")
# The places of a schema in which a schema stands (JSON Schema 2020-12, applicators). Data is not among them.
_ONE: Final = frozenset(
    {"items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties"}
    | {"not", "if", "then", "else", "contentSchema"}
)
_LIST: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED: Final = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})


def mirrors(tool: JsonObject) -> Mapping[str, str]:
    """Return, by header in lower case (`mcp-param-region`), the argument it repeats as a JSON Pointer (RFC 6901).

    Empty where any annotation is invalid: clients are to drop such a tool, and nobody sends its headers.
    """
    found: dict[str, str] = {}
    for path, schema in _schemas(tool.get("inputSchema")):
        if _KEY not in schema:
            continue
        header = schema[_KEY]
        if not path or not isinstance(header, str) or not _TOKEN.fullmatch(header):
            return {}
        name = PREFIX + header.lower()
        if schema.get("type") not in _TYPES or name in found:
            return {}
        found[name] = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)
    return found


def _schemas(root: JsonValue) -> Iterator[tuple[tuple[str, ...] | None, JsonObject]]:
    """Yield every schema with its path; None where more than `properties` leads there."""
    stack: list[tuple[tuple[str, ...] | None, JsonValue]] = [((), root)]
    while stack:
        path, schema = stack.pop()
        if not isinstance(schema, dict):
            continue
        yield path, schema
        for key, value in schema.items():
            if key == "properties":
                stack += ((None if path is None else (*path, k), v) for k, v in as_object(value).items())
            elif key in _ONE:
                stack.append((None, value))
            elif key in _LIST and isinstance(value, list):
                stack += ((None, v) for v in value)
            elif key in _NAMED:
                stack += ((None, v) for v in as_object(value).values())
