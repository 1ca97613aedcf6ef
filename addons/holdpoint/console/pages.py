"""Turn what is known into pages. Every text goes through `seen`: nothing a requester wrote is ever markup."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from holdpoint.console.reading import Row, duration
from holdpoint.console.text import Cut, Kind, Piece, pieces, reveal

TEMPLATES = Path(__file__).parent / "templates"
MOST_INLINE = 50_000
"""Characters of one value that a page holds; beyond that it leads to the plain text."""
MOST_LINE = 200
"""Characters of what a request would do, where it stands on one line."""
MOST_ROWS = 100
"""Values of one object that a page holds."""
MOST_MARKED = 5_000
"""Odd characters of a page that are marked one by one, each with its name: together they weigh far more than what they
stand in. All others are written out as in the plain text."""
_left: ContextVar[list[int]] = ContextVar("marks that the page in hand may still have")
_TAGS = {
    Kind.HIDDEN: Markup('<span class="odd" title="{}">{}</span>'),
    Kind.FOREIGN: Markup('<span class="foreign" title="{}">{}</span>'),
}


def seen(text: str) -> Markup:
    """Escape a text on one line, hidden characters written out."""
    return _marked(pieces(text))


def seen_lines(text: str) -> Markup:
    """Escape a text whose newlines and tabs are layout."""
    return _marked(pieces(text, lines=True))


def seen_name(text: str) -> Markup:
    """Escape a name: a letter of a look-alike script is marked wherever it stands."""
    return _marked(pieces(text, identifier=True))


def seen_cut(text: str) -> Markup:
    """Escape what a request would do, on one line and cut where it is long: the page of the request has all of it."""
    return seen_name(text if len(text) <= MOST_LINE else f"{text[:MOST_LINE]} ... (cut)")


def date(at: float) -> str:
    """Say a moment in UTC, to the second."""
    try:
        return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def iso(at: float) -> str:
    """Say a moment as machines read it (RFC 3339)."""
    return date(at).removesuffix(" UTC").replace(" ", "T") + "Z"


class Templates:
    """The page templates of the package."""

    def __init__(self, folder: Path = TEMPLATES) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters: dict[str, Callable[..., object]] = {
            "seen": seen,
            "seen_lines": seen_lines,
            "seen_name": seen_name,
            "seen_cut": seen_cut,
            "plain": reveal,
            "date": date,
            "iso": iso,
            "duration": duration,
            "huge": _is_huge,
            "first_rows": _first_rows,
        }
        self._jinja.filters.update(filters)

    def page(self, name: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """Return a page. Raises jinja2.TemplateError where a template wants a value that is not there."""
        token = _left.set([MOST_MARKED])
        try:
            return HTMLResponse(self._jinja.get_template(name).render(values), status_code=status)
        finally:
            _left.reset(token)


def _is_huge(value: Cut) -> bool:
    """Tell whether a page leads to the plain text instead of holding all of a value."""
    return value.total > MOST_INLINE


def _first_rows(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[:MOST_ROWS]


def _marked(found: list[Piece]) -> Markup:
    left = _left.get([MOST_MARKED])
    shown: list[Markup] = []
    plain: list[str] = []
    for piece in found:
        if piece.kind is Kind.PLAIN:
            plain.append(piece.text)
        elif left[0] <= 0:
            plain.append(piece.code)
        else:
            left[0] -= 1
            shown += (escape("".join(plain)), _TAGS[piece.kind].format(piece.title, piece.text))
            plain.clear()
    return Markup().join((*shown, escape("".join(plain))))
