"""Checks how targets lead into one another: which tool calls get a token for which clusters, and what needs one."""

from dataclasses import replace

from holdpoint.domain.access import Protocol
from holdpoint.located_yaml import Located
from holdpoint.settings import PREVIEW, Credential, Keys, Target, Unlinked


def link_targets(value: Located, targets: tuple[Target, ...], keys: Keys) -> tuple[Target, ...]:
    """Return the targets with what comes without a token of a call settled. Raises ConfigError.

    Where nothing is said, a Kubernetes target that some MCP target's calls are linked with takes nothing else.
    """
    clusters = {target.name for target in targets if target.protocol is Protocol.KUBERNETES}
    linked: set[str] = set()
    for target, element in zip(targets, value.elements(), strict=True):
        if PREVIEW in target.credentials and target.protocol is not Protocol.KUBERNETES:
            raise element.error("credential `preview` is for Kubernetes targets alone: no other is tried")
        for credential in target.credentials.values():
            linked |= _links(target, credential, clusters, keys, element)
    settled: list[Target] = []
    for target, element in zip(targets, value.elements(), strict=True):
        said = {name: found for name, _, found in element.items()}.get("unlinked")
        if target.protocol is not Protocol.KUBERNETES:
            if said is not None:
                raise said.error("only requests to a Kubernetes target serve tool calls: take `unlinked` out")
        elif said is not None:
            target = replace(target, unlinked=Unlinked(said.choice(*Unlinked)))  # noqa: PLW2901  # settled here
        elif target.name in linked:
            target = replace(target, unlinked=Unlinked.DENY)  # noqa: PLW2901
        settled.append(target)
    return tuple(settled)


def _links(target: Target, credential: Credential, clusters: set[str], keys: Keys, element: Located) -> frozenset[str]:
    minted = credential.per_call
    if minted is None:
        if credential.kind in ("service-account", "impersonate") and target.protocol is not Protocol.KUBERNETES:
            raise element.error(f"credential kind `{credential.kind}` is for Kubernetes targets alone")
        return frozenset()
    if target.protocol is not Protocol.MCP:
        raise element.error("credential kind `per-call` is for MCP targets alone: a token is made for each tool call")
    for name in sorted(minted.targets - clusters):
        raise element.error(f"credential kind `per-call`: `{name}` is no Kubernetes target of this file")
    if not keys.calls:
        raise element.error("credential kind `per-call` needs a key that signs its tokens: add `calls` under `keys`")
    return minted.targets
