"""Everything a test needs around a gateway in front of a cluster: issuer, API server, settings, kubectl."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import create_default_context
from types import TracebackType
from typing import Any

import httpx
import pytest
from tests.fakes.issuer import FakeIssuer
from tests.fakes.kube_identity import ALICE_TOKEN, GATEWAY_TOKEN
from tests.fakes.kube_server import KubeServer
from tests.fakes.processes import GATEWAY, MITMDUMP, ROOT, Program, free_port
from tests.fakes.wire import certificate

from holdpoint.admin.client import AdminClient

SETTINGS = """\
apiVersion: holdpoint/v1
kind: Gateway
listeners:
  - {{name: routes, mode: reverse, listen: "127.0.0.1:{reverse}", tls: {{certificate: "{certificate}", key: "{key}"}}}}
  - {{name: proxy, mode: forward, listen: "127.0.0.1:{forward}"}}
keys:
  ca: {{folder: var/ca}}
  audit: {{active: audit-1, ring: [{{id: audit-1, file: var/keys/audit-1.pem, create: true}}]}}
  digest: {{file: var/keys/digest.key}}
issuers:
  - name: test
    url: {issuer}
    algorithms: [RS256, ES256]
    audiences: ["{audience}"]
    claims: {{person: email, groups: groups}}
    workloads: {{subjects: ["agent-*"], owners: {{"agent-*": ["alice@corp.example"]}}}}
    login: {{client_id: holdpoint-cli}}
targets:
  - name: cluster
    protocol: kubernetes
    url: {cluster}
    ca_file: "{authority}"
    routes: [/k8s/cluster]
    credential: {credential}
    hold: {{wait: {hold_wait}}}
{target_lines}
{more_targets}
policies: [cluster.yaml, masks/credentials.yaml, masks/personal-data.yaml]
store: {{path: var/holdpoint.sqlite}}
recordings: {{folder: var/recordings}}
admin: {{socket: var/run/admin.sock}}
reviewers: {{issuers: [test], max_age: 12h}}
console: {{listen: "127.0.0.1:{console}", issuer: test, client_id: holdpoint-console}}
{more_settings}
"""

ALL = """\
  - name: discover
    effect: allow
    match: {verbs: [get, post], paths: ["/*"]}
  - name: objects
    effect: allow
    match:
      verbs: [get, list, watch, create, update, patch, delete, deletecollection, exec, attach, portforward, cp, proxy]
      resources: ["*", "*/*"]
"""
"""Rules that allow everything but `--as`."""
POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {{name: cluster}}
targets: [cluster]
rules:
{rules}"""

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{server}", certificate-authority: "{authority}"{more}}}}}]
users: [{{name: u, user: {{token: "{token}"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u, namespace: default}}}}]
current-context: c
"""


def find_kubectl() -> str:
    """Return a kubectl of PATH; the test fails with what to do where there is none."""
    found = shutil.which("kubectl")
    if found is None:
        pytest.fail(
            "kubectl is not on PATH: the tests of the road to Kubernetes need one of 1.30 or newer "
            "(https://kubernetes.io/docs/tasks/tools/; neither PyPI nor npm has it)"
        )
    return found


def kubectls() -> list[str]:
    """Return the kubectl of PATH, and the one that HOLDPOINT_TEST_KUBECTL names."""
    other = os.environ.get("HOLDPOINT_TEST_KUBECTL", "")
    return [find_kubectl(), *([other] if other else [])]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a kubectl said and how it ended."""

    args: tuple[str, ...]
    out: str
    err: str
    status: int

    @property
    def text(self) -> str:
        """As a person would see it."""
        return f"{self.out}{self.err}[exit {self.status}]"


@dataclass
class KubeWorld:
    """A folder of settings with an issuer and an API server around it. A context manager; `start` starts mitmdump."""

    folder: Path
    rules: str = ALL
    """Rules of the cluster's policy, indented by two."""
    hold_wait: str = "50s"
    credential: str = "{kind: static, from: {env: CLUSTER_TOKEN}}"
    target_lines: str = ""
    """More keys of the target `cluster`, indented by four."""
    more_targets: str = ""
    more_settings: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reverse, self.forward, self.console = free_port(), free_port(), free_port()
        self.base = f"https://127.0.0.1:{self.reverse}"
        self.url = f"{self.base}/k8s/cluster"
        self.issuer = FakeIssuer(audience=self.url)
        self.cluster = KubeServer(self.folder)
        self.certificate, self.key = certificate(self.folder / "listener")
        self.gateway: Program | None = None
        self.policies = self.folder / "policies"
        shutil.copytree(ROOT / "policies", self.policies)
        self.settings_file = self.policies / "gateway.yaml"

    @property
    def var(self) -> Path:
        """Folder of the gateway's state."""
        return self.policies / "var"

    def write_settings(self, **changes: str) -> None:
        """Write gateway.yaml and the policy; `changes` replace text in the former, key by value."""
        text = SETTINGS.format(
            reverse=self.reverse,
            forward=self.forward,
            console=self.console,
            certificate=self.certificate,
            key=self.key,
            issuer=self.issuer.url,
            audience=self.url,
            cluster=self.cluster.url,
            authority=self.cluster.authority,
            credential=self.credential,
            hold_wait=self.hold_wait,
            target_lines=self.target_lines,
            more_targets=self.more_targets,
            more_settings=self.more_settings,
        )
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        self.settings_file.write_text(text)
        self.write_policy(self.rules)

    def write_policy(self, rules: str) -> None:
        """Write the cluster's rules, indented by two."""
        (self.policies / "cluster.yaml").write_text(POLICY.format(rules=rules))

    def __enter__(self) -> "KubeWorld":
        self.issuer.start()
        self.cluster.__enter__()
        self.write_settings()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.gateway is not None:
                self.gateway.stop()
                if kind is not None:
                    print(self.gateway.output)
        finally:
            self.cluster.__exit__(None, None, None)
            self.issuer.stop()

    def launch(self, *more: str, script: Path = GATEWAY) -> Program:
        """Start mitmdump and return at once, whether or not it will come up."""
        command = [str(MITMDUMP), "-s", str(script), "--set", f"holdpoint_config={self.settings_file}", *more]
        self.gateway = Program(command, env={"CLUSTER_TOKEN": GATEWAY_TOKEN, "HOME": str(self.folder), **self.env})
        return self.gateway

    def start(self, *more: str, script: Path = GATEWAY) -> Program:
        """Start mitmdump and wait until it serves."""
        gateway = self.launch(*more, script=script)
        gateway.wait_for("holdpoint: serving")
        return gateway

    # Who calls

    def token(self, sub: str = "u-alice", **claims: Any) -> str:
        """An access token of the test issuer for the cluster."""
        return self.issuer.mint({"sub": sub, **claims})

    def id_token(self, person: str = "rita@corp.example", *groups: str) -> str:
        """An ID token of a reviewer, as the console would hold it."""
        return self.issuer.mint_id_token(
            {"sub": f"u-{person.split('@', maxsplit=1)[0]}", "email": person, "groups": list(groups or ("reviewers",))}
        )

    def admin(self) -> AdminClient:
        """A client of the gateway's admin socket."""
        return AdminClient(self.var / "run" / "admin.sock")

    def client(self, token: str | None = None, *, http2: bool = True, **more: Any) -> httpx.Client:
        """A plain client of the reverse route, with a caller's token."""
        headers = {"authorization": f"Bearer {token or self.token()}"}
        trust = create_default_context(cafile=self.certificate)
        return httpx.Client(
            base_url=self.url, http2=http2, verify=trust, trust_env=False, timeout=30, headers=headers, **more
        )

    # kubectl

    @property
    def direct(self) -> Path:
        """A kubeconfig without the gateway, as alice."""
        return self.kubeconfig("direct", self.cluster.url, self.cluster.authority, ALICE_TOKEN)

    def direct_to(self, server: KubeServer, name: str = "direct-to") -> Path:
        """A kubeconfig for another API server, as alice."""
        return self.kubeconfig(name, server.url, server.authority, ALICE_TOKEN)

    def route(self, token: str | None = None, name: str = "route") -> Path:
        """A kubeconfig for the reverse route."""
        return self.kubeconfig(name, self.url, self.certificate, token or self.token())

    def proxied(self, token: str | None = None, name: str = "proxied") -> Path:
        """A kubeconfig for the forward listener, by `proxy-url`."""
        more = f', proxy-url: "http://127.0.0.1:{self.forward}"'
        authority = self.var / "ca" / "mitmproxy-ca-cert.pem"
        return self.kubeconfig(name, self.cluster.url, authority, token or self.token(), more)

    def kubeconfig(self, name: str, server: str, authority: Path, token: str, more: str = "") -> Path:
        """Write a kubeconfig of any kind; `more` are further keys of its cluster."""
        file = self.folder / f"kubeconfig-{name}"
        file.write_text(KUBECONFIG.format(server=server, authority=authority, token=token, more=more))
        file.chmod(0o600)
        return file

    def environment(self, config: Path, **more: str) -> dict[str, str]:
        """The environment of a kubectl: a home and a cache of its own for each kubeconfig, and no proxies."""
        home = self.folder / f"home-{config.name}"
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        return {**kept, "KUBECONFIG": str(config), "HOME": str(home), "TZ": "UTC", **more}

    def kubectl(
        self,
        *args: str,
        config: Path | None = None,
        stdin: str | bytes | None = None,
        program: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Ran:
        """Run a kubectl to its end (through the reverse route unless `config` says otherwise)."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [program or find_kubectl(), *args],
            input=data if data is not None else b"",
            capture_output=True,
            check=False,
            timeout=timeout,
            cwd=self.folder,
            env={**self.environment(config or self.route()), **(env or {})},
        )
        out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        return Ran(args, out, err, done.returncode)

    def spawn(self, *args: str, config: Path | None = None, program: str = "") -> Program:
        """Start a kubectl that goes on: its lines are read as they come."""
        command = [program or find_kubectl(), *args]
        return Program(command, env=self.environment(config or self.route()), cwd=self.folder)
