"""What `gateway.yaml` may say and its writer may not mean: said at start and by `policy check`, refused by neither."""

from collections.abc import Iterator

from holdpoint.domain.access import Protocol
from holdpoint.located_yaml import Located
from holdpoint.settings import Issuer, Target


def cautions(value: Located, targets: tuple[Target, ...], issuers: tuple[Issuer, ...]) -> tuple[str, ...]:
    """Return what the operator should know of the targets, a sentence each."""
    return (*_shared_audiences(targets, issuers), *_closed_by_links(value, targets))


def _shared_audiences(targets: tuple[Target, ...], issuers: tuple[Issuer, ...]) -> Iterator[str]:
    for issuer in issuers:
        sharing = [
            f"`{each.name}`"
            for each in targets
            if not each.audiences and (not each.issuers or issuer.name in each.issuers)
        ]
        if issuer.audiences and len(sharing) > 1:
            yield (
                f"one token of issuer `{issuer.name}` opens all of the targets {', '.join(sharing)}: they accept the "
                "issuer's `audiences`; give each target `audiences` of its own"
            )


def _closed_by_links(value: Located, targets: tuple[Target, ...]) -> Iterator[str]:
    written = {
        target.name
        for target, element in zip(targets, value.elements(), strict=True)
        if any(name == "unlinked" for name, _, _ in element.items())
    }
    for target in targets:
        minting = [
            f"`{each.name}`"
            for each in targets
            if any(c.per_call is not None and target.name in c.per_call.targets for c in each.credentials.values())
        ]
        if minting and target.protocol is Protocol.KUBERNETES and target.name not in written:
            yield (
                f"target `{target.name}` refuses everybody but tool calls of {', '.join(minting)}, people with kubectl "
                f"too: `unlinked` of `{target.name}` is not written, and is `deny` where another target's "
                "credential is `per-call` for it; write `unlinked: humans` to let people in"
            )
