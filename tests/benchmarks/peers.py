"""Other gateways for MCP, to measure beside this one: Python programs from PyPI, in an environment of their own.

ContextForge is left out: it wants a database, a dozen services and minutes to start, and answers in 45 to 90 ms.
"""

import hashlib
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.subjects import start
from tests.fakes.processes import ROOT, Program, free_port

from holdpoint.policy import benchmark as policy_benchmark

PINNED = ("mcp-policy-gateway==0.1.0", "fastmcp==4.1.2", "mcp==2.3.0")
ENVIRONMENT = ROOT / "var" / "peers"
_MINUTES = 10
_RULES = policy_benchmark.RULES - policy_benchmark.WITH_CEL


class NoPeersError(Exception):
    """The peers cannot be measured here. Says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that runs."""

    name: str
    url: str
    token: str
    program: Program


def environment(folder: Path = ENVIRONMENT) -> Path:
    """Return the `bin` of an environment with the peers, made if need be. Raises NoPeersError where it cannot be."""
    stamp, wanted = folder / "pinned.txt", "\n".join(PINNED)
    if not (stamp.exists() and stamp.read_text() == wanted):
        sys.stderr.write(f"installing {', '.join(PINNED)} into {folder.relative_to(ROOT)}\n")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", *PINNED]
        for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], pip):
            _run(command)
        stamp.write_text(wanted)
    return folder / "bin"


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_MINUTES * 60)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines() or ["it said nothing"]
        raise NoPeersError(lines[-1]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPeersError(str(error)) from error


def start_all(folder: Path, upstream: str, tool: str, stack: ExitStack) -> list[Peer]:
    """Start the peers in front of the MCP server at `upstream`. Raises NoPeersError where one does not come up."""
    programs = environment()
    try:
        return [_policy_gateway(programs, folder, upstream, tool, stack), _fastmcp(programs, upstream, stack)]
    except (OSError, RuntimeError) as error:
        raise NoPeersError(str(error)) from error


def _policy_gateway(programs: Path, folder: Path, upstream: str, tool: str, stack: ExitStack) -> Peer:
    """It identifies by a static token, decides by 30 rules of which 10 read an argument, and audits to a file."""
    port, token = free_port(), "token-of-the-benchmark"
    deny = "effect: deny, tools: ['scale_*']"
    rules = [
        f"      - {{name: condition-{i}, {deny}, when: {{args.replicas: {{gt: {1_000 + i}}}}}}}"
        for i in range(policy_benchmark.WITH_CEL)
    ]
    rules += [f"      - {{name: plain-{i}, effect: allow, tools: [scale_{i}]}}" for i in range(1, _RULES)]
    rules += [f"      - {{name: plain, effect: allow, tools: [{tool}]}}"]
    file = folder / "peer.yaml"
    file.write_text(
        "version: 1\n"
        f"upstreams: {{benchmark: {{transport: http, url: {upstream}}}}}\n"
        f"tokens: [{{name: bench, policy: bench, sha256: {hashlib.sha256(token.encode()).hexdigest()}}}]\n"
        f"audit: {{path: {folder / 'peer-audit.jsonl'}}}\n"
        "policies:\n  bench:\n    default: deny\n    rules:\n" + "\n".join(rules) + "\n",
        encoding="utf-8",
    )
    command = [str(programs / "mcp-policy-gateway"), "run", "-c", str(file), "--transport", "http"]
    program = start([*command, "--port", str(port)], stack)
    program.wait_for("Uvicorn running")
    return Peer("mcp-policy-gateway", f"http://127.0.0.1:{port}/mcp", token, program)


def _fastmcp(programs: Path, upstream: str, stack: ExitStack) -> Peer:
    """Its proxy as it comes: it forwards, and neither identifies, decides nor records."""
    port = free_port()
    command = [str(programs / "fastmcp"), "run", upstream, "--transport", "http", "--port", str(port), "--no-banner"]
    program = start(command, stack)
    program.wait_for("Uvicorn running")
    return Peer("fastmcp proxy", f"http://127.0.0.1:{port}/mcp", "", program)
