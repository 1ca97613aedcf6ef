"""The policies in force: one bundle, its engine and its compiled masks, switched as a whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdpoint.domain.access import AccessRequest, Protocol
from holdpoint.domain.decision import Permit
from holdpoint.domain.mask import DetectorMask, MaskProfile
from holdpoint.domain.refusal import ConfigError
from holdpoint.masking.detectors import KUBERNETES_SECRET
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.policy.bundle import Bundle, load_bundle
from holdpoint.policy.delegations import Delegations
from holdpoint.policy.engine import Engine
from holdpoint.settings import PREVIEW, Settings, Target

_KEPT = MaskProfile("kept", detectors=(DetectorMask(KUBERNETES_SECRET),))


@dataclass(slots=True)
class Policies:
    """One bundle and what was made of it. Immutable but for what is remembered of it."""

    bundle: Bundle
    engine: Engine
    key: bytes = field(repr=False)
    _scopes: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    _maskers: dict[tuple[str, ...], Masker] = field(default_factory=dict[tuple[str, ...], Masker])
    _keepers: dict[tuple[str, ...], Masker] = field(default_factory=dict[tuple[str, ...], Masker])

    @property
    def delegations(self) -> Delegations:
        """Who stands in for whom."""
        return self.bundle.delegations

    @property
    def every_mask(self) -> tuple[str, ...]:
        """Names of all mask profiles."""
        return tuple(sorted(self.bundle.masks))

    def masks_of(self, *asked: AccessRequest, always: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the masks of all these requests together, with those that always apply: every one where any is denied.

        Of what policy does not permit nobody knows which masks it would ask for.
        """
        names = set(always)
        for access in asked:
            decision = self.engine.decide(access)
            names.update(decision.masks if isinstance(decision, Permit) else self.every_mask)
        return tuple(sorted(names))

    def scopes(self, target: str) -> frozenset[str]:
        """Return every scope that a rule for this target asks for."""
        found = self._scopes.get(target)
        if found is None:
            rules = (r for p in self.bundle.policies if target in p.targets for r in p.rules)
            found = self._scopes[target] = frozenset(s for r in rules for s in r.scopes)
        return found

    def masker(self, names: tuple[str, ...]) -> Masker:
        """Return the masker for a set of profiles, compiled once. Raises ConfigError."""
        found = self._maskers.get(names)
        if found is None:
            found = self._maskers[names] = compile_masks(_profiles(self.bundle.masks, names), key=self.key)
        return found

    def keeper(self, names: tuple[str, ...], target: Target | None) -> Masker:
        """Return the masker for requests that are written down: never the data of a Secret, whatever policy says."""
        if target is None or target.protocol is not Protocol.KUBERNETES:
            return self.masker(names)
        found = self._keepers.get(names)
        if found is None:
            profiles = [*_profiles(self.bundle.masks, names), _KEPT]
            found = self._keepers[names] = compile_masks(profiles, key=self.key)
        return found


def _profiles(masks: Mapping[str, MaskProfile], names: tuple[str, ...]) -> list[MaskProfile]:
    if missing := [n for n in names if n not in masks]:
        raise ConfigError(f"no mask profile `{missing[0]}` in the policies")
    return [masks[n] for n in names]


def load_policies(settings: Settings, key: bytes) -> Policies:
    """Load every policy file and compile every mask once. Raises ConfigError."""
    bundle = load_bundle(settings.policies, targets={t.name: t.protocol for t in settings.targets})
    policies = Policies(bundle, Engine(bundle), key)
    for name in bundle.masks:
        policies.masker((name,))
    policies.masker(policies.every_mask)
    for target in settings.targets:
        _check_masks(bundle, target)
        policies.masker(target.masks)
        _check_credentials(bundle, target)
    return policies


def _check_masks(bundle: Bundle, target: Target) -> None:
    if missing := [n for n in target.masks if n not in bundle.masks]:
        known = ", ".join(f"`{n}`" for n in bundle.masks) or "none"
        raise ConfigError(f"unknown mask profile `{missing[0]}`; known: {known}", where=f"target `{target.name}`")


def _check_credentials(bundle: Bundle, target: Target) -> None:
    for policy in bundle.policies:
        if target.name not in policy.targets:
            continue
        for rule in policy.rules:
            name = rule.credential
            if name == PREVIEW:
                raise ConfigError(
                    f"credential `{PREVIEW}` is for previews: no request is sent with it", where=rule.ref.where
                )
            if name and name not in target.credentials:
                raise ConfigError(f"target `{target.name}` has no credential `{name}`", where=rule.ref.where)
