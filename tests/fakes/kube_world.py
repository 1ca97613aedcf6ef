"""Everything a test needs around a gateway in front of a cluster: issuer, API server, settings, kubectl."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context
from typing import Any, ClassVar, Self

import httpx
import pytest
from tests.fakes.gateway_folder import GatewayFolder
from tests.fakes.kube_identity import ALICE_TOKEN, GATEWAY_TOKEN
from tests.fakes.kube_server import KubeServer
from tests.fakes.processes import Program
from tests.fakes.wire import certificate

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
class KubeWorld(GatewayFolder):
    """A folder of settings with an issuer and an API server around it. A context manager; `start` starts mitmdump."""

    rules: str = ALL
    """Rules of the cluster's policy, indented by two."""
    credential: str = "{kind: static, from: {env: CLUSTER_TOKEN}}"
    more_settings: str = ""

    SCHEME = "https"
    ROUTE = "/k8s/cluster"
    TARGET = """\
  - name: cluster
    protocol: kubernetes
    url: {cluster}
    ca_file: "{authority}"
    routes: [/k8s/cluster]
    credential: {credential}
    hold: {{wait: {hold_wait}}}
"""
    MORE = "{more_settings}\n"
    SECRETS: ClassVar[dict[str, str]] = {"CLUSTER_TOKEN": GATEWAY_TOKEN}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cluster = KubeServer(self.folder)
        self.certificate, self.key = certificate(self.folder / "listener")

    def values(self) -> dict[str, object]:
        return {
            "listener": f', tls: {{certificate: "{self.certificate}", key: "{self.key}"}}',
            "cluster": self.cluster.url,
            "authority": self.cluster.authority,
            "credential": self.credential,
            "policy": "cluster",
            "more_settings": self.more_settings,
        }

    def write_settings(self, **changes: str) -> None:
        """Write gateway.yaml and the policy; `changes` replace text in the former, key by value."""
        super().write_settings(**changes)
        self.write_policy(self.rules)

    def write_policy(self, rules: str) -> None:
        """Write the cluster's rules, indented by two."""
        (self.policies / "cluster.yaml").write_text(POLICY.format(rules=rules))

    def __enter__(self) -> Self:
        super().__enter__()
        self.cluster.__enter__()
        self.write_settings()
        return self

    def close(self) -> None:
        self.cluster.__exit__(None, None, None)

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
