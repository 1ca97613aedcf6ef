"""Statements as row modules write them, for PostgreSQL."""

from collections.abc import Sequence
from functools import lru_cache

import psycopg

from holdpoint.store.rows import Cursor, Value


@lru_cache(maxsize=1024)
def numbered(sql: str) -> bytes:
    """Turn `?` outside of quotes and comments into `$1`, `$2` and so on. Raises ValueError on a quote left open."""
    parts: list[str] = []
    number = start = position = 0
    while position < len(sql):
        match sql[position]:
            case "'" | '"' as quote:
                # A doubled quote is the end of one text and the beginning of the next: the same to us.
                position = sql.index(quote, position + 1)
            case "-" if sql.startswith("--", position):
                end = sql.find("\n", position)
                position = end if end >= 0 else len(sql)
            case "?":
                number += 1
                parts += [sql[start:position], f"${number}"]
                start = position + 1
            case _:
                pass
        position += 1
    return "".join([*parts, sql[start:]]).encode()


class Link:
    """A `Connection` of the row modules."""

    def __init__(self, raw: "psycopg.Connection") -> None:
        """`raw` makes `psycopg.RawCursor`s."""
        self.raw = raw

    def execute(self, sql: str, parameters: Sequence[Value] = (), /) -> Cursor:
        """Run one statement. Raises psycopg.Error, and ValueError on text that PostgreSQL has no place for."""
        if any(isinstance(value, str) and "\0" in value for value in parameters):
            raise ValueError("text that holds a NUL cannot be stored")
        return self.raw.execute(numbered(sql), tuple(parameters))
