"""What is measured: a bare mitmdump and the whole pipeline, side by side in front of one upstream."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from tests.benchmarks.figures import Figures, figures
from tests.benchmarks.load import Job, Result
from tests.benchmarks.profiles import HTTP_PATH, MCP_PATH, SECRET, Profile
from tests.fakes.issuer import FakeIssuer
from tests.fakes.processes import GATEWAY, MITMDUMP, ROOT, Program, free_port

from holdpoint.policy import benchmark as policy_benchmark

GATEWAY_SETTINGS = """\
apiVersion: holdpoint/v1
kind: Gateway
listeners:
  - {{name: routes, mode: reverse, listen: "127.0.0.1:{port}"}}
keys:
  ca: {{folder: var/ca}}
  audit: {{active: audit-1, ring: [{{id: audit-1, file: var/keys/audit-1.pem, create: true}}]}}
  digest: {{file: var/keys/digest.key}}
issuers:
  - name: test
    url: {issuer}
    algorithms: [RS256]
    audiences: ["{audience}"]
    claims: {{person: email, groups: groups}}
targets:
{targets}
policies: [{policies}, masks/credentials.yaml]
store: {{path: var/holdpoint.sqlite}}
recordings: {{folder: var/recordings}}
admin: {{socket: var/run/admin.sock}}
"""
_TARGET = """\
  - name: {name}
    protocol: {protocol}
    url: {url}
    routes: [{route}]
    credential: {{kind: static, from: {{env: BENCH_TOKEN}}}}
    masks: [credentials]
"""
_WEB = """apiVersion: holdpoint/v1
kind: Policy
metadata: {name: web}
targets: [web]
rules:
"""
_WEB_CEL = """  - name: condition-{i}
    effect: deny
    match: {{verbs: [get], paths: ["/deployments"]}}
    when: principal.groups.exists(g, g == "sre") && request.verb in ["get"] && resource.path.size() > {n}
"""
_WEB_PLAIN = """  - name: plain-{i}
    effect: allow
    match: {{verbs: [get], paths: ["/{suffix}"], principals: {{groups: [sre]}}}}
"""
TOKEN_VARIABLE = "BENCH_TOKEN"
UPSTREAM_TOKEN = "upstream-token-of-the-benchmark"


def write_policies(folder: Path) -> None:
    """Write 30 rules for each target, of which 10 reach CEL on every request that is measured."""
    policy_benchmark.write_bundle(folder)
    conditions, rules = policy_benchmark.WITH_CEL, policy_benchmark.RULES
    lines = [_WEB_CEL.format(i=i, n=1_000 + i) for i in range(conditions)]
    lines += [_WEB_PLAIN.format(i=i, suffix="*" if i == conditions else f"x{i}") for i in range(conditions, rules)]
    (folder / "web.yaml").write_text(_WEB + "".join(lines), encoding="utf-8")
    shutil.copytree(ROOT / "policies" / "masks", folder / "masks")


def target(name: str, url: str, route: str, protocol: str = "mcp") -> str:
    """Return the settings of one target."""
    return _TARGET.format(name=name, protocol=protocol, url=url, route=route)


def write_settings(folder: Path, *, port: int, upstream: int, issuer: FakeIssuer) -> Path:
    """Write gateway.yaml and all it names below `folder`, and return it."""
    policies = folder / "policies"
    policies.mkdir()
    write_policies(policies)
    base = f"http://127.0.0.1:{upstream}"
    targets = target("benchmark", f"{base}/mcp", MCP_PATH) + target("web", base, HTTP_PATH.rpartition("/")[0], "http")
    return write_gateway(policies, port, issuer, targets, "benchmark.yaml, web.yaml")


def write_gateway(policies: Path, port: int, issuer: FakeIssuer, targets: str, files: str) -> Path:
    """Write gateway.yaml into the folder of its policies, and return it."""
    file = policies / "gateway.yaml"
    text = GATEWAY_SETTINGS.format(
        port=port, issuer=issuer.url, audience=issuer.audience, targets=targets.rstrip(), policies=files
    )
    file.write_text(text)
    return file


def mint(issuer: FakeIssuer) -> str:
    """Make a token that is good for an hour."""
    return issuer.mint({"exp": int(issuer.clock.now()) + 3_600, "groups": ["dev", "sre"]})


class Worker[Asked: msgspec.Struct, Done: msgspec.Struct]:
    """A client in a process of its own: `python -m MODULE` reads jobs and writes results. A context manager."""

    def __init__(self, module: str, done: type[Done]) -> None:
        self._module, self._done = module, done
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )

    def run(self, job: Asked) -> Done:
        """Do one measurement."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended, status {self._process.wait()}")
        return msgspec.json.decode(line, type=self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(slots=True)
class Subject:
    """A proxy that runs."""

    name: str
    program: Program
    port: int
    token: str
    never: bytes
    generator: Worker[Job, Result]
    served: int = 0

    def load(self, profile: Profile, *, connections: int, seconds: float, warm_up: float) -> Figures:
        """Load it. Raises RuntimeError where one answer is not what it must be."""
        job = Job(self.port, profile.request(self.port, self.token), connections, seconds, warm_up, self.never)
        before = self.cpu()
        result = self.generator.run(job)
        if result.failures or not result.latencies:
            example = result.example.decode("utf-8", "replace")
            raise RuntimeError(f"{self.name}: {result.failures} of its answers were wrong: {example}\n{self.said}")
        served = result.warmed + len(result.latencies)
        self.served += served
        return figures(result, (self.cpu() - before) / served)

    @property
    def said(self) -> str:
        """What it wrote lately."""
        return "\n".join(self.program.lines[-20:])

    def cpu(self) -> float:
        """Return the processor seconds that it used. 0 where the system has no /proc."""
        return cpu_of(self.program)

    def memory(self) -> int:
        """Return its resident memory, in bytes. 0 where the system has no /proc."""
        return memory_of(self.program)


def memory_of(program: Program) -> int:
    """Return the resident memory of a program, in bytes. 0 where the system has no /proc."""
    status = Path(f"/proc/{program.process.pid}/status")
    if not status.exists():
        return 0
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def cpu_of(program: Program) -> float:
    """Return the processor seconds that a program used. 0 where the system has no /proc."""
    stat = Path(f"/proc/{program.process.pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Arena:
    """Issuer, upstream and both subjects, from `with` to its end. Everything it writes is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            issuer = stack.enter_context(FakeIssuer())
            upstream = free_port()
            served = start([sys.executable, "-m", "tests.benchmarks.upstream", str(upstream)], stack)
            served.wait_for("upstream: serving")
            token = mint(issuer)
            generator = stack.enter_context(Worker[Job, Result]("tests.benchmarks.load", Result))
            self.bare = self._bare(upstream, token, generator, stack)
            self.pipeline = self._pipeline(upstream, issuer, token, generator, stack)
            self._stack = stack.pop_all()
        return self

    def _bare(self, upstream: int, token: str, generator: Worker[Job, Result], stack: ExitStack) -> Subject:
        port = free_port()
        mode = f"reverse:http://127.0.0.1:{upstream}"
        command = [str(MITMDUMP), "--mode", f"{mode}@127.0.0.1:{port}", "--set", f"confdir={self.folder / 'bare'}"]
        program = start([*command, "--set", "flow_detail=0"], stack)
        program.wait_for("listening at")
        return Subject("bare", program, port, token, b"", generator)

    def _pipeline(
        self, upstream: int, issuer: FakeIssuer, token: str, generator: Worker[Job, Result], stack: ExitStack
    ) -> Subject:
        port = free_port()
        settings = write_settings(self.folder, port=port, upstream=upstream, issuer=issuer)
        command = [str(MITMDUMP), "-s", str(GATEWAY), "--set", f"holdpoint_config={settings}"]
        program = start(command, stack, **{TOKEN_VARIABLE: UPSTREAM_TOKEN})
        program.wait_for("holdpoint: serving")
        return Subject("pipeline", program, port, token, SECRET.encode(), generator)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def start(command: list[str], stack: ExitStack, **env: str) -> Program:
    program = Program(command, env=env)
    stack.callback(program.stop)
    return program
