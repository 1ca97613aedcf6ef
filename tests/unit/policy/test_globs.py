from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.policy.globs import compile_globs, glob_problem


def test_no_globs_match_nothing():
    assert not compile_globs([])("")
    assert not compile_globs([])("x")


def test_empty_glob_matches_empty_text_alone():
    fits = compile_globs([""])
    assert fits("")
    assert not fits("x")


def test_star_matches_everything_and_nothing_at_all():
    assert compile_globs(["*"])("")
    assert compile_globs(["*"])("a/b")


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        pytest.param("a*", "ab", True, id="prefix"),
        pytest.param("a*", "ba", False, id="not a prefix"),
        pytest.param("*a", "ba", True, id="suffix"),
        pytest.param("/a/*/c", "/a/x/y/c", True, id="star crosses slashes"),
        pytest.param("a*a", "a", False, id="ends do not overlap"),
        pytest.param("a.c", "abc", False, id="dot is literal"),
        pytest.param("a?c", "abc", False, id="question mark is literal"),
        pytest.param("[ab]", "a", False, id="brackets are literal"),
        pytest.param("Read", "read", False, id="case counts"),
        pytest.param("a*", "x\na", False, id="lines are no lines"),
    ],
)
def test_glob_matches_as_documented(glob, text, fits):
    assert compile_globs([glob])(text) is fits


@given(
    st.lists(st.text("ab*", min_size=1, max_size=6).filter(lambda g: "**" not in g), min_size=1, max_size=3),
    st.text("ab", max_size=8),
)
def test_globs_agree_with_fnmatch_where_both_speak(globs, text):
    assert compile_globs(globs)(text) == any(fnmatchcase(text, g) for g in globs)


@pytest.mark.parametrize("glob", ["", "a**", "!a", " a", "a ", "a\n", "a\x00", "x" * 1_001])
def test_bad_glob_is_named(glob):
    assert glob_problem(glob)


def test_good_glob_has_no_problem():
    assert glob_problem("read_*") == ""
    assert glob_problem("", may_be_empty=True) == ""
