"""Statements of the row modules, for PostgreSQL."""

import pytest

from holdpoint.store.postgres_sql import numbered


@pytest.mark.threat("T85")
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param("SELECT 1", "SELECT 1", id="no mark"),
        pytest.param("a = ? AND b = ?", "a = $1 AND b = $2", id="two marks"),
        pytest.param("a = '?' AND b = ?", "a = '?' AND b = $1", id="mark in a text"),
        pytest.param("a = 'it''s ?' AND b = ?", "a = 'it''s ?' AND b = $1", id="doubled quote"),
        pytest.param('"a?" = ?', '"a?" = $1', id="mark in a name"),
        pytest.param("a LIKE ? ESCAPE '\\' AND b = ?", "a LIKE $1 ESCAPE '\\' AND b = $2", id="backslash in quotes"),
        pytest.param("a LIKE '50%' AND b = ?", "a LIKE '50%' AND b = $1", id="percent sign"),
        pytest.param("SELECT 1 -- why?\nWHERE a = ?", "SELECT 1 -- why?\nWHERE a = $1", id="mark in a comment"),
        pytest.param("a = ? -- why?", "a = $1 -- why?", id="comment at the end"),
        pytest.param("a - ? = -?", "a - $1 = -$2", id="minus is no comment"),
    ],
)
def test_marks_are_numbered_where_they_are_marks(sql, expected):
    assert numbered(sql) == expected.encode()


def test_quote_left_open_is_an_error():
    with pytest.raises(ValueError, match="substring"):
        numbered("a = 'x")
