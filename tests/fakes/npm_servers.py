"""MCP servers as other people publish them on npm, as child processes on loopback."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fakes.node_parts import NODE, need, node22, system
from tests.fakes.processes import Program, free_port


@contextmanager
def running(command: list[str], port: int, said: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server until the end of the block; yields the URL of its MCP endpoint once it has said that it listens."""
    program = Program(command, env=env, cwd=NODE)
    try:
        program.wait_for(said)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        program.stop()


@contextmanager
def server_everything(**env: str) -> Iterator[str]:
    """@modelcontextprotocol/server-everything, streamable HTTP, sessions, 2025-11-25."""
    script = need("@modelcontextprotocol/server-everything") / "dist" / "index.js"
    port = free_port()
    command = [str(node22()), "--import", "./loopback.mjs", str(script), "streamableHttp"]
    with running(command, port, "listening on port", {"PORT": str(port), **env}) as url:
        yield url


@contextmanager
def kubernetes_mcp_server(kubeconfig: Path) -> Iterator[str]:
    """kubernetes-mcp-server (Go): it hands a bearer token that it is given on to the cluster in place of its own."""
    if system() != "linux-x64":
        pytest.skip("platform: the npm parts have kubernetes-mcp-server for linux-x64 only")
    name = "kubernetes-mcp-server-linux-amd64"
    port = free_port()
    command = [str(need(name) / "bin" / name), "--port", str(port), "--bind-address", "127.0.0.1"]
    command += ["--kubeconfig", str(kubeconfig), "--disable-multi-cluster", "--log-level", "1"]
    with running(command, port, "HTTP server starting") as url:
        yield url
