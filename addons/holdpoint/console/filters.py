"""What somebody looks for in the history: in the address, so that a search can be passed on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from holdpoint.console.view import STATES
from holdpoint.domain.values import JsonObject, JsonValue

MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked for. Empty: anything. The names are those of the address."""

    state: str = ""
    target: str = ""
    person: str = ""
    verb: str = ""
    text: str = ""
    since: str = ""
    """First day, `YYYY-MM-DD`, UTC."""
    until: str = ""
    """Last day, it included."""
    mine: str = ""
    """`1`: only what the reader asked for."""
    wrong: str = ""
    """What could not be read, for the reader."""

    def __bool__(self) -> bool:
        """Tell whether anything is looked for."""
        return bool(self._named())

    def params(self, me: str) -> JsonObject:
        """Return the parameters of `approvals.list` beside state, limit and place. Times are Unix seconds.

        `me` is the reader's own person, for what only they asked for.
        """
        found: dict[str, JsonValue] = {
            name: value for name, value in self._named().items() if name in {"target", "person", "verb", "text"}
        }
        if self.since:
            found["from"] = _day(self.since).timestamp()
        if self.until:
            found["until"] = (_day(self.until) + timedelta(days=1)).timestamp()
        if self.mine:
            found["person"] = me
        return found

    def query(self, **changes: str) -> str:
        """Return the address of this search, or of one that differs a little."""
        wanted = {name: value for name, value in (self._named() | changes).items() if value}
        return "/history?" + urlencode(wanted) if wanted else "/history"

    def _named(self) -> dict[str, str]:
        named: dict[str, str] = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value and name != "wrong"}


def read_filters(query: Mapping[str, str]) -> Filters:
    """Read what is looked for from an address. What cannot be read is left out, and said."""
    wrong: list[str] = []

    def day(name: str) -> str:
        text = query.get(name, "").strip()
        try:
            return _day(text).strftime("%Y-%m-%d") if text else ""
        except ValueError:
            wrong.append(f"`{name}` is not a day as in 2026-07-31")
            return ""

    def text(name: str) -> str:
        found = query.get(name, "").strip()
        if len(found) <= MOST_TEXT:
            return found
        wrong.append(f"`{name}` is longer than {MOST_TEXT} characters")
        return ""

    state = query.get("state", "")
    return Filters(
        state=state if state in STATES else "",
        target=text("target"),
        person=text("person"),
        verb=text("verb"),
        text=text("text"),
        since=day("since"),
        until=day("until"),
        mine="1" if query.get("mine") == "1" else "",
        wrong="; ".join(wrong),
    )


def _day(text: str) -> datetime:
    found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    if not 1970 <= found.year <= 9998:  # noqa: PLR2004  # what Unix seconds and the day after can say
        raise ValueError(text)
    return found
