"""Programs of tests/node, where node and its packages are installed; tests that need them are skipped elsewhere."""

import json
import shutil
from typing import Any

import pytest
from tests.fakes.processes import ROOT, Program

NODE = ROOT / "tests" / "node"


def need_node(package: str) -> None:
    """Skip the test where node or the package is missing."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (NODE / "node_modules" / package).is_dir():
        pytest.skip("npm parts are not installed: run scripts/test once")


def run_client(major: str, url: str, calls: list[list[object]]) -> dict[str, Any]:
    """Run the TypeScript SDK's OAuth client to its end; return what it got, and what it asked the issuer for."""
    need_node("@modelcontextprotocol/client" if major == "2" else "@modelcontextprotocol/sdk")
    program = Program(["node", "oauth_client.mjs", major, url, json.dumps(calls)], cwd=NODE)
    status = program.wait(timeout=60)
    assert status == 0, program.output
    told: dict[str, Any] = json.loads(program.lines[-1])
    return told
