"""Who approves what, by target and namespace: lists that rules name, made into the persons and groups meant."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.domain.decision import Clause, RequireApproval
from holdpoint.policy.globs import compile_globs
from holdpoint.policy.rules import Globs

LIST = "list:"
"""What begins the name of a list where reviewers are named."""


@dataclass(frozen=True, slots=True)
class ListEntry:
    """Who approves on some targets, in some namespaces."""

    reviewers: frozenset[str]
    targets: frozenset[str] | None = None
    """None: every target."""
    namespaces: Globs = None
    """None: whatever the namespace, and what has none."""

    def fits(self, target: str, namespace: str) -> bool:
        """Tell whether this is about that target and namespace, which is empty for what is in none, or in all."""
        if self.targets is not None and target not in self.targets:
            return False
        return self.namespaces is None or (bool(namespace) and compile_globs(self.namespaces)(namespace))


@dataclass(frozen=True, slots=True)
class ReviewerList:
    """A named list. The first entry that fits counts, and `default` where none does."""

    name: str
    entries: tuple[ListEntry, ...] = ()
    default: frozenset[str] = frozenset()
    where: str = ""
    """`file:line`."""

    @property
    def choices(self) -> tuple[frozenset[str], ...]:
        """Everybody whom it may come to, by entry."""
        return (*(e.reviewers for e in self.entries), *((self.default,) if self.default else ()))

    def reviewers(self, target: str, namespace: str) -> frozenset[str]:
        """Return who approves there. Empty: nobody."""
        return next((e.reviewers for e in self.entries if e.fits(target, namespace)), self.default)


@dataclass(frozen=True, slots=True)
class Lists:
    """The reviewer lists of a bundle."""

    by_name: Mapping[str, ReviewerList] = field(default_factory=dict[str, ReviewerList])

    def resolve(self, term: RequireApproval, request: AccessRequest) -> tuple[RequireApproval, str]:
        """Return terms with concrete names for this request, and why nobody could meet them, or an empty string."""
        if not any(name.startswith(LIST) for clause in term.clauses for name in clause.reviewers):
            return term, ""
        namespace = request.resource.namespace if isinstance(request.resource, KubeObject) else ""
        first, *others = (
            Clause(self._named(clause.reviewers, request.target, namespace), clause.required) for clause in term.clauses
        )
        lacking = next(
            (c for c, found in zip(term.clauses, (first, *others), strict=True) if not found.reviewers), None
        )
        found = replace(term, reviewers=first.reviewers, required=first.required, also=tuple(others))
        if lacking is None:
            return found, ""
        names = ", ".join(f"`{n}`" for n in sorted(lacking.reviewers))
        where = f"namespace `{namespace}` of target `{request.target}`" if namespace else f"target `{request.target}`"
        return found, f"{names} names nobody for {where}"

    def _named(self, names: frozenset[str], target: str, namespace: str) -> frozenset[str]:
        found: set[str] = set()
        for name in names:
            if not name.startswith(LIST):
                found.add(name)
            elif (known := self.by_name.get(name.removeprefix(LIST))) is not None:
                found |= known.reviewers(target, namespace)
        return frozenset(found)
