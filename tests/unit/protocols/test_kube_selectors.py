"""Selectors as the API server reads them."""

import pytest

from holdpoint.protocols.kubernetes.selectors import (
    BadSelector,
    Requirement,
    excludes,
    implies,
    parse_fields,
    parse_labels,
)


def one(key, operator, *values):
    return Requirement(key, operator, frozenset(values))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", (), id="everything"),
        pytest.param("  ", (), id="blanks"),
        pytest.param("a=b", (one("a", "in", "b"),), id="equals"),
        pytest.param("a==b", (one("a", "in", "b"),), id="equals twice"),
        pytest.param("a = b", (one("a", "in", "b"),), id="blanks around"),
        pytest.param("a!=b", (one("a", "notin", "b"),), id="not equal"),
        pytest.param("a", (one("a", "exists"),), id="exists"),
        pytest.param("!a", (one("a", "absent"),), id="absent"),
        pytest.param("! a", (one("a", "absent"),), id="absent with a blank"),
        pytest.param("a in (b,c)", (one("a", "in", "b", "c"),), id="in"),
        pytest.param("a in(b , c)", (one("a", "in", "b", "c"),), id="in without a blank"),
        pytest.param("a notin (b)", (one("a", "notin", "b"),), id="not in"),
        pytest.param("a in ()", (one("a", "in", ""),), id="in nothing is the empty value"),
        pytest.param("a in (b,,c)", (one("a", "in", "b", "", "c"),), id="an empty value between"),
        pytest.param("a in (,b)", (one("a", "in", "", "b"),), id="an empty value first"),
        pytest.param("a in (b,)", (one("a", "in", "b", ""),), id="an empty value last"),
        pytest.param("a=", (one("a", "in", ""),), id="empty value"),
        pytest.param("a=,b", (one("a", "in", ""), one("b", "exists")), id="empty value, then more"),
        pytest.param("a=in", (one("a", "in", "in"),), id="a value that is called in"),
        pytest.param("in in (in)", (one("in", "in", "in"),), id="all called in"),
        pytest.param("a>5,b<7", (one("a", "gt", "5"), one("b", "lt", "7")), id="numbers"),
        pytest.param("x.io/a=b", (one("x.io/a", "in", "b"),), id="prefix"),
        pytest.param("a\t=\nb", (one("a", "in", "b"),), id="tabs and lines"),
    ],
)
def test_labels_are_read_as_the_server_reads_them(text, expected):
    assert parse_labels(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("=b", id="no key"),
        pytest.param("a,", id="comma last"),
        pytest.param(",a", id="comma first"),
        pytest.param("a b", id="two words"),
        pytest.param("a in b", id="no brackets"),
        pytest.param("a in (b", id="open bracket"),
        pytest.param("a in (b c)", id="no comma"),
        pytest.param("a in (b))", id="two brackets"),
        pytest.param("a===b", id="three signs"),
        pytest.param("a=b=c", id="two values"),
        pytest.param("a=>b", id="odd sign"),
        pytest.param("a>b", id="no number"),
        pytest.param("a>", id="nothing to compare"),
        pytest.param("!a=b", id="absent with a value"),
        pytest.param("!", id="absent without a key"),
        pytest.param("a=b\0,c", id="NUL"),
        pytest.param("-a=b", id="no name"),
        pytest.param("X.io/a=b", id="capital prefix"),
        pytest.param("a=b/c", id="no value"),
        pytest.param("a=ä", id="no ASCII"),
        pytest.param("a=" + "b" * 64, id="long value"),
        pytest.param("a" * 20_000, id="too long"),
    ],
)
def test_what_the_server_would_refuse_is_no_selector(text):
    with pytest.raises(BadSelector):
        parse_labels(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", (), id="everything"),
        pytest.param("a.b=c", (one("a.b", "in", "c"),), id="equals"),
        pytest.param("a.b==c,", (one("a.b", "in", "c"),), id="equals twice, comma last"),
        pytest.param("a.b!=c", (one("a.b", "notin", "c"),), id="not equal"),
        pytest.param(r"a=b\,c\=\\", (one("a", "in", "b,c=\\"),), id="escapes"),
        pytest.param("a=", (one("a", "in", ""),), id="empty value"),
    ],
)
def test_fields_are_read_as_the_server_reads_them(text, expected):
    assert parse_fields(text) == expected


@pytest.mark.parametrize("text", ["a", "a=b=c", r"a=b\c", "a=b\\", "a" * 20_000])
def test_what_is_no_field_selector_is_refused(text):
    with pytest.raises(BadSelector):
        parse_fields(text)


@pytest.mark.parametrize(
    ("asked", "wanted", "implied", "excluded"),
    [
        pytest.param("a=b", "a=b", True, False, id="same"),
        pytest.param("a=b", "a in (b,c)", True, False, id="narrower"),
        pytest.param("a in (b,c)", "a=b", False, False, id="wider"),
        pytest.param("a in (b,c),a!=c", "a=b", True, False, id="wider, and less"),
        pytest.param("a=b", "a", True, False, id="exists"),
        pytest.param("a", "a=b", False, False, id="exists, any value"),
        pytest.param("a!=b", "a=b", False, True, id="all but it"),
        pytest.param("a!=b", "a", False, False, id="not equal is no existence"),
        pytest.param("a!=b", "a!=b", True, False, id="not equal"),
        pytest.param("a notin (b,c)", "a!=b", True, False, id="not equal to more"),
        pytest.param("!a", "a!=b", True, False, id="absent is not equal"),
        pytest.param("!a", "a", False, True, id="absent"),
        pytest.param("a", "!a", False, True, id="there"),
        pytest.param("!a", "!a", True, False, id="both absent"),
        pytest.param("a=b", "a!=b", False, True, id="the one that is left out"),
        pytest.param("a=c", "a!=b", True, False, id="another one"),
        pytest.param("a>5", "a>3", True, False, id="higher"),
        pytest.param("a>3", "a>5", False, False, id="lower"),
        pytest.param("a<3", "a<5", True, False, id="lower, below"),
        pytest.param("a=7", "a>5", True, False, id="a number above"),
        pytest.param("a=5", "a>5", False, True, id="a number not above"),
        pytest.param("a=x", "a<5", False, True, id="no number"),
        pytest.param("!a", "a<5", False, True, id="absent, compared"),
        pytest.param("b=c", "a=b", False, False, id="another key"),
        pytest.param("a=b", "a=b,c=d", False, False, id="half of it"),
        pytest.param("a=b,c=e", "a=b,c=d", False, True, id="half of it, and the other half not"),
        pytest.param("", "a=b", False, False, id="everything"),
    ],
)
def test_one_selector_against_another(asked, wanted, implied, excluded):
    found = parse_labels(asked), parse_labels(wanted)
    assert (implies(*found), excludes(*found)) == (implied, excluded)


def test_selector_that_takes_long_to_read_is_none():
    with pytest.raises(BadSelector):
        parse_labels(",".join("a" for _ in range(513)))
    assert len(parse_labels(",".join("a" for _ in range(512)))) == 512
