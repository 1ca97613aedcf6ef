"""Policies from a few lines of YAML, and requests from a few words."""

from dataclasses import replace
from pathlib import Path

from holdpoint.domain.access import (
    AccessRequest,
    Action,
    HttpPath,
    KubeObject,
    KubeOptions,
    McpMethod,
    McpTool,
    Principal,
    Protocol,
    Resource,
)
from holdpoint.policy.bundle import Bundle, load_bundle

TARGETS = {"mcp": Protocol.MCP, "web": Protocol.HTTP, "cluster": Protocol.KUBERNETES}
ADA = Principal(
    issuer="https://issuer.example.com",
    subject="ada",
    kind="human",
    person="ada@example.com",
    groups=frozenset({"developers"}),
    client_id="cli",
)
MASKS = """apiVersion: holdpoint/v1
kind: Masks
profiles:
  - {name: credentials, keys: [password]}
  - {name: personal-data, detectors: [email]}
"""


def policy_text(*rules: str, targets: str = "mcp", name: str = "p") -> str:
    """Return a policy document; each rule is a flow mapping without its braces."""
    head = f"apiVersion: holdpoint/v1\nkind: Policy\nmetadata: {{name: {name}}}\ntargets: [{targets}]\nrules:\n"
    return head + "".join(f"  - {{{rule}}}\n" for rule in rules)


def bundle_of(folder: Path, *texts: str) -> Bundle:
    """Write each text to a file of its own and load them all, with two mask profiles."""
    files: list[Path] = []
    for number, text in enumerate((*texts, MASKS)):
        file = folder / f"f{number}.yaml"
        file.write_text(text, encoding="utf-8")
        files.append(file)
    return load_bundle(files, targets=TARGETS)


def call(tool: str = "t", *, principal: Principal = ADA, unverified: dict[str, str] | None = None, **arguments):
    """Make a tools/call."""
    action = Action(Protocol.MCP, "tools/call")
    return AccessRequest(principal, "mcp", action, McpTool(tool), arguments, unverified or {}, at=1_800_000_000.0)


def ask(verb: str, resource: Resource | None = None, *, target: str = "mcp", **arguments) -> AccessRequest:
    """Make any request."""
    action = Action(TARGETS[target], verb)
    return AccessRequest(ADA, target, action, resource or McpMethod(), arguments, at=1_800_000_000.0)


def kube(verb: str, resource: str, namespace: str = "", name: str = "", *, group: str = "", **arguments):
    """Make a request for a Kubernetes object; `resource` may hold a subresource after a slash."""
    kind, _, subresource = resource.partition("/")
    return ask(verb, KubeObject(group, "v1", kind, subresource, namespace, name), target="cluster", **arguments)


def kube_with(verb: str, resource: str, namespace: str = "", name: str = "", *, group: str = "", **options):
    """Make one that says more than a name: `options` are those of `KubeOptions`."""
    request = kube(verb, resource, namespace, name, group=group)
    return replace(request, resource=replace(request.resource, options=KubeOptions(**options)))


def impersonation(resource: str, name: str, namespace: str = ""):
    """Make what `--as` asks for, of one identity."""
    return kube("impersonate", resource, namespace, name)


def fetch(verb: str, path: str, host: str = "web.example.com") -> AccessRequest:
    """Make a plain HTTP request."""
    return ask(verb, HttpPath(host, path), target="web")


def by(request: AccessRequest, principal: Principal) -> AccessRequest:
    """Return the same request by somebody else."""
    return replace(request, principal=principal)
