"""What a policy test expects of the terms of an approval, and how what was found differs."""

from collections.abc import Iterator
from dataclasses import dataclass

from holdpoint.domain.decision import BreakGlass, Clause, RequireApproval
from holdpoint.located_yaml import Located

_TERM = frozenset(
    {
        "rule",
        "reviewers",
        "required",
        "all_of",
        "timeout",
        "scope",
        "for",
        "auto_approve_after",
        "require_reason",
        "preview",
        "widen",
        "break_glass",
    }
)
NEVER = BreakGlass(frozenset(), 0.0)
"""`break_glass: false`: nobody may."""


@dataclass(frozen=True, slots=True)
class ExpectedTerm:
    """What one set of approval terms should be. None: not asked."""

    rule: str | None = None
    reviewers: frozenset[str] | None = None
    required: int | None = None
    all_of: tuple[Clause, ...] | None = None
    timeout: float | None = None
    scope: str | None = None
    duration: float | None = None
    auto_approve_after: float | None = None
    require_reason: bool | None = None
    preview: str | None = None
    widen: frozenset[str] | None = None
    break_glass: BreakGlass | None = None


def read_term(node: Located) -> ExpectedTerm:
    """Read what is expected of one set of terms. Raises ConfigError."""
    fields = node.fields(optional=_TERM)
    reviewers, required, rule, scope = (fields.get(k) for k in ("reviewers", "required", "rule", "scope"))
    timeout, duration, silence = (fields.get(k) for k in ("timeout", "for", "auto_approve_after"))
    several, reason, preview, widen = (fields.get(k) for k in ("all_of", "require_reason", "preview", "widen"))
    glass = fields.get("break_glass")
    if several and (reviewers or required):
        raise several.error("`all_of` says whom and how many already; take out `reviewers` and `required`")
    return ExpectedTerm(
        rule=rule.text() if rule else None,
        reviewers=frozenset(reviewers.texts()) if reviewers else None,
        required=required.integer() if required else None,
        all_of=tuple(_clause(e) for e in several.elements()) if several else None,
        timeout=timeout.duration() if timeout else None,
        scope=scope.text() if scope else None,
        duration=duration.duration() if duration else None,
        auto_approve_after=silence.duration() if silence else None,
        require_reason=reason.boolean() if reason else None,
        preview=preview.choice("required", "optional") if preview else None,
        widen=frozenset(widen.texts()) if widen else None,
        break_glass=_glass(glass) if glass else None,
    )


def compare_terms(wanted: tuple[ExpectedTerm, ...], found: tuple[RequireApproval, ...]) -> Iterator[str]:
    """Yield what is otherwise than expected."""
    if len(wanted) != len(found):
        yield f"expected {len(wanted)} sets of approval terms, got {len(found)}"
        return
    # Which expectation is about which rule is not said by order: each must find a term of its own.
    left = list(found)
    for term in sorted(wanted, key=_precision, reverse=True):
        fits = next((f for f in left if not _differences(term, f)), None)
        if fits is None:
            yield f"no approval terms are as expected: {'; '.join(_differences(term, left[0]))}"
            return
        left.remove(fits)


def _clause(node: Located) -> Clause:
    fields = node.fields(required=frozenset({"reviewers"}), optional=frozenset({"required"}))
    count = fields.get("required")
    return Clause(frozenset(fields["reviewers"].texts()), count.integer(low=1) if count else 1)


def _glass(node: Located) -> BreakGlass:
    if not node.is_mapping:
        if node.boolean():
            raise node.error("write `{who: […], for: …}`, or `false` for nobody")
        return NEVER
    fields = node.fields(required=frozenset({"who", "for"}))
    return BreakGlass(frozenset(fields["who"].texts()), fields["for"].duration())


def _precision(term: ExpectedTerm) -> int:
    return sum(value is not None for _, value, _ in _pairs(term, None))


def _differences(term: ExpectedTerm, found: RequireApproval) -> list[str]:
    return [
        f"{name} {have} is not {want}" for name, want, have in _pairs(term, found) if want is not None and want != have
    ]


def _pairs(term: ExpectedTerm, found: RequireApproval | None) -> list[tuple[str, object, object]]:
    glass = term.break_glass
    return [
        ("rule", term.rule, found and str(found.rule)),
        ("reviewers", _told((Clause(term.reviewers),)) if term.reviewers is not None else None, found and _who(found)),
        ("required", term.required, found and found.persons),
        ("all_of", _told(term.all_of, counts=True) if term.all_of is not None else None, found and _all(found)),
        ("timeout", term.timeout, found and found.timeout),
        ("scope", term.scope, found and found.scope.value),
        ("for", term.duration, found and found.duration),
        ("auto_approve_after", term.auto_approve_after, found and found.auto_approve_after),
        ("require_reason", term.require_reason, found and found.require_reason),
        ("preview", term.preview, found and ("required" if found.require_preview else "optional")),
        ("widen", term.widen if term.widen is None else sorted(term.widen), found and sorted(found.widen)),
        ("break_glass", glass and _shown(glass), found and _shown(found.break_glass or NEVER)),
    ]


def _who(found: RequireApproval) -> str:
    return _told(found.clauses)


def _all(found: RequireApproval) -> str:
    return _told(found.clauses, counts=True)


def _told(clauses: tuple[Clause, ...], *, counts: bool = False) -> str:
    return " and ".join(sorted((f"{c.required} of " if counts else "") + str(sorted(c.reviewers)) for c in clauses))


def _shown(glass: BreakGlass) -> str:
    return f"by {sorted(glass.who)} for {glass.duration:.0f} s" if glass.who else "by nobody"
