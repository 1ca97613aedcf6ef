"""Definitions of tools for the tests of pins."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data" / "pins"
"""Tools as real servers listed them: kubernetes-mcp-server 0.0.67, and the Python SDK's everything-server."""


def real_tools() -> list[tuple[str, dict[str, Any]]]:
    return [(f.stem, tool) for f in sorted(DATA.glob("*.json")) for tool in json.loads(f.read_text())]


def tool(name: str = "send_email", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "Send an email to one recipient.",
        "inputSchema": {
            "type": "object",
            "properties": {"to": {"type": "string", "description": "address"}, "body": {"type": "string"}},
            "required": ["to", "body"],
        },
        "annotations": {"readOnlyHint": False, "title": "Mail"},
        **more,
    }
