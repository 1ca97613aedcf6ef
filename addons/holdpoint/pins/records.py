"""What is remembered of one tool: the definitions that were approved, and those that were seen and were not."""

from dataclasses import dataclass, replace
from typing import Final

from holdpoint.domain.access import PinState
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.pins.fingerprint import Definition
from holdpoint.protocols.strict_json import loads

MOST_WAITING: Final = 4
"""Definitions of one tool that wait for an operator at a time; of more, those seen longest ago are forgotten."""
MOST_APPROVED: Final = 8
_MAX_DEPTH: Final = 256
_GRAVITY: Final = (
    PinState.HIDDEN,
    PinState.DUPLICATE,
    PinState.CHANGED,
    PinState.RENAMED,
    PinState.UNKNOWN,
)
"""Which state a tool is in where several apply."""


class PinRefused(Exception):  # noqa: N818  # what the operator reads
    """A change of pins that is not made. `code` is for programs: `not_found`, `changed`, `not_allowed`, `by_file`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Kept:
    """One definition of a tool, as it was seen."""

    definition: Definition
    state: PinState
    """PINNED: approved. Any other: what is wrong with it."""
    why: str = ""
    """In words, for the operator. Safe to show."""
    other: str = ""
    """The tool it was renamed from, or looks like."""
    sight: int = 0
    """Number of the listing in which it was seen last."""
    first_at: float = 0.0
    """Unix seconds."""
    approved_by: str = ""
    """Who: `first sight`, the pin file, or an operator. Empty: nobody."""
    approved_at: float | None = None

    @property
    def is_approved(self) -> bool:
        """Whether calls by this definition are as approved."""
        return self.state is PinState.PINNED

    def parsed(self) -> JsonObject:
        """Return the definition, empty where it was too large to keep."""
        if not self.definition.text:
            return {}
        return as_object(loads(self.definition.text.encode(), max_bytes=1 << 20, max_depth=_MAX_DEPTH))


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that is known of one tool."""

    tool: str
    kept: tuple[Kept, ...] = ()
    """Oldest sight first."""
    duplicate: int = 0
    """Number of the listing in which the server listed it more than once, as long as nobody looked at that; or 0."""

    @property
    def state(self) -> PinState:
        """The gravest state that applies. What was once seen and is not approved counts until an operator looks."""
        states = {k.state for k in self.kept}
        if self.duplicate:
            states.add(PinState.DUPLICATE)
        grave = next((s for s in _GRAVITY if s in states), None)
        return grave or (PinState.PINNED if PinState.PINNED in states else PinState.NONE)

    @property
    def approved(self) -> tuple[Kept, ...]:
        """Approved definitions, the one seen last at the end."""
        return tuple(k for k in self.kept if k.is_approved)

    @property
    def waiting(self) -> tuple[Kept, ...]:
        """Definitions that nobody approved, the one seen last at the end."""
        return tuple(k for k in self.kept if not k.is_approved)

    @property
    def newest(self) -> Kept | None:
        """The definition seen last."""
        return self.kept[-1] if self.kept else None

    @property
    def sight(self) -> int:
        """Number of the last listing that had this tool."""
        return max((k.sight for k in self.kept), default=0)

    @property
    def mark(self) -> tuple[str, ...]:
        """What makes two looks at this tool the same: all that waits for an operator. Empty: nothing does."""
        return tuple(
            sorted({k.definition.fingerprint for k in self.waiting} | ({"duplicate"} if self.duplicate else set()))
        )

    def find(self, fingerprint: str) -> Kept | None:
        """Return the definition with that fingerprint."""
        return next((k for k in self.kept if k.definition.fingerprint == fingerprint), None)

    def with_kept(self, kept: Kept) -> "Record":
        """Return the record with one definition put in or replaced, and no more than are kept."""
        others = [k for k in self.kept if k.definition.fingerprint != kept.definition.fingerprint]
        found = sorted((*others, kept), key=lambda k: k.sight)
        waiting = [k for k in found if not k.is_approved][-MOST_WAITING:]
        approved = [k for k in found if k.is_approved][-MOST_APPROVED:]
        return replace(self, kept=tuple(sorted((*approved, *waiting), key=lambda k: k.sight)))

    def approve(self, fingerprint: str, *, by: str, at: float, also: bool = False) -> "Record":
        """Return the record with the definition of that fingerprint approved, in place of others or beside them.

        What was seen later than that definition stays as it is: nobody has looked at it yet. Raises PinRefused.
        """
        chosen = self.find(fingerprint)
        if chosen is None:
            raise PinRefused("changed", "no definition that the server showed has this whole fingerprint: look again")
        if self.duplicate and self.duplicate == self.sight:
            raise PinRefused(
                "not_allowed", "the server lists more than one tool of this name: nobody can tell them apart"
            )
        approved = replace(chosen, state=PinState.PINNED, why="", approved_by=by, approved_at=at)
        kept = [k for k in self.kept if k is not chosen and ((k.is_approved and also) or _came_since(k, chosen))]
        return Record(self.tool, tuple(kept)).with_kept(approved)


def _came_since(kept: Kept, chosen: Kept) -> bool:
    return not kept.is_approved and kept.sight > chosen.sight
