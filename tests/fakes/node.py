"""The OAuth client of tests/node, on either TypeScript SDK."""

import json
from typing import Any

from tests.fakes.node_parts import NODE, need
from tests.fakes.processes import Program


def run_client(major: str, url: str, calls: list[list[object]]) -> dict[str, Any]:
    """Run the TypeScript SDK's OAuth client to its end; return what it got, and what it asked the issuer for."""
    need("@modelcontextprotocol/client" if major == "2" else "@modelcontextprotocol/sdk")
    program = Program(["node", "oauth_client.mjs", major, url, json.dumps(calls)], cwd=NODE)
    status = program.wait(timeout=60)
    assert status == 0, program.output
    told: dict[str, Any] = json.loads(program.lines[-1])
    return told
