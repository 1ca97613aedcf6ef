from typing import Any

import pytest
from tests.fakes.tool_definitions import real_tools

from holdpoint.pins.mirrors import mirrors


def of(schema: Any) -> Any:
    return mirrors({"name": "x", "inputSchema": schema})


def header(name: Any, kind: Any = "string") -> dict[str, Any]:
    return {"type": kind, "x-mcp-header": name}


def properties(**found: Any) -> dict[str, Any]:
    return {"type": "object", "properties": found}


CASES = [
    pytest.param(properties(region=header("Region")), {"mcp-param-region": "/region"}, id="one"),
    pytest.param(
        properties(a=properties(**{"b/c": header("X", "integer")})), {"mcp-param-x": "/a/b~1c"}, id="a nested one"
    ),
    pytest.param(properties(a={"type": "string", "default": {"x-mcp-header": "X"}}), {}, id="data is no schema"),
    pytest.param(properties(a=header("Region"), b=header("rEGION")), {}, id="twice the same"),
    pytest.param(properties(a=header("Region", "number")), {}, id="a type that is not allowed"),
    pytest.param(properties(a=header("Region", ["string"])), {}, id="several types"),
    pytest.param(properties(a=header("Re gion")), {}, id="no token"),
    pytest.param(properties(a=header("")), {}, id="empty"),
    pytest.param(properties(a=header(3)), {}, id="a number"),
    pytest.param({**header("Region"), **properties(a=header("A"))}, {}, id="at the root"),
    pytest.param(properties(a={"items": header("A")}, b=header("B")), {}, id="in a list"),
    pytest.param({"anyOf": [properties(a=header("A"))]}, {}, id="in a choice"),
    pytest.param({"$defs": {"x": header("A")}, **properties(b=header("B"))}, {}, id="in a definition"),
    pytest.param(None, {}, id="no schema"),
    pytest.param({"properties": 3}, {}, id="odd properties"),
]


@pytest.mark.parametrize(("schema", "expected"), CASES)
def test_headers_that_repeat_arguments(schema: Any, expected: dict[str, str]) -> None:
    assert of(schema) == expected


def test_the_conformance_servers_annotations_are_found() -> None:
    found = {name: path for _, tool in real_tools() for name, path in mirrors(tool).items()}
    assert all(name.startswith("mcp-param-") and path.startswith("/") for name, path in found.items())
