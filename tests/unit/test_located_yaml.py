import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import MAX_BYTES, Located, load, load_all, parse_all

FILE = Path("x.yaml")


def one(text: str) -> Located:
    (document,) = parse_all(text.encode(), FILE)
    return document


def field(text: str) -> Located:
    return one(f"k: {text}").fields(required=frozenset({"k"}))["k"]


def test_value_knows_its_place() -> None:
    inner = dict((name, value) for name, _, value in one("a:\n  - 1\n  -   b: x\n").items())["a"].elements()[1]  # noqa: C402
    assert (inner.where, inner.line) == ("x.yaml:3:7", 3)
    assert str(inner.error("oh")) == "x.yaml:3:7: oh"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        pytest.param("a: 1\nb: 2\na: 3", "x.yaml:3:1", "duplicate key `a`", id="duplicate key"),
        pytest.param("a: 1\n'a': 3", "x.yaml:2:1", "duplicate key `a`", id="duplicate key in quotes"),
        pytest.param("a: &x 1\nb: *x", "x.yaml:1:4", "anchors and aliases", id="alias"),
        pytest.param("a: &x 1", "x.yaml:1:4", "anchors and aliases", id="anchor alone"),
        pytest.param("a: &x [*x]", "x.yaml:1:4", "anchors and aliases", id="a value inside itself"),
        pytest.param("a: {<<: {b: 1}}", "x.yaml:1:5", "merge keys", id="merge key"),
        pytest.param("a: !foo 1", "x.yaml:1:4", "tag `!foo` is not allowed", id="tag"),
        pytest.param("a: !foo {b: 1}", "x.yaml:1:4", "tag `!foo` is not allowed", id="tag of a mapping"),
        pytest.param("a: !!set {b}", "x.yaml:1:4", "tag `set` is not allowed", id="set"),
        pytest.param("a: !!seq {b: 1}", "x.yaml:1:4", "tag `seq` is not allowed", id="mapping called a list"),
        pytest.param("a: !!python/object:os.system x", "x.yaml:1:4", "is not allowed", id="python object"),
        pytest.param("%YAML 1.1\n---\na: yes", "x.yaml:1:1", "directives", id="another YAML"),
        pytest.param("a: x\u202ey", "x.yaml:1:5", "invisible character U+202E", id="turned text"),
        pytest.param("a: 1\nb\u200b: 1", "x.yaml:2:2", "invisible character U+200B", id="key that looks the same"),
        pytest.param("\ufeffa: 1", "x.yaml:1:1", "invisible character U+FEFF", id="byte order mark"),
        pytest.param("a: 1\rb: 2", "x.yaml:1:5", "invisible character U+000D", id="line break that few show"),
        pytest.param("\r\n%YAML 1.1\r\n---\r\na: yes", "x.yaml:2:1", "directives", id="another YAML on Windows"),
        pytest.param(r'a: "\UFFFFFFFF"', "x.yaml", "an escape stands for no character", id="escape of nothing"),
        pytest.param(r'a: "\uD800"', "x.yaml:1:4", "a surrogate is no character", id="surrogate"),
        pytest.param("a: [1", "x.yaml:1:", "not valid YAML", id="open bracket"),
        pytest.param("a: 1\n b: 2", "x.yaml:2:", "not valid YAML", id="indentation"),
        pytest.param("a: \x00", "x.yaml", "not valid YAML", id="NUL"),
        pytest.param("1: x", "x.yaml:1:1", "expected text", id="key that is a number"),
        pytest.param("{a: 1}: x", "x.yaml:1:1", "expected text", id="key that is a mapping"),
    ],
)
def test_text_that_reads_two_ways_is_refused(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one(text).json()
    assert message in str(caught.value)
    assert caught.value.where.startswith(place)


def test_nesting_is_bounded() -> None:
    for depth in (40, 100_000):
        with pytest.raises(ConfigError, match="nested too deep"):
            one("[" * depth + "]" * depth)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"x.yaml: not UTF-8 at byte 3"):
        parse_all(b"a: \xff", FILE)


def test_file_is_bounded_and_a_file(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (MAX_BYTES + 1))
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, message in (("big", "larger than"), ("absent", "cannot be read: No such"), ("pipe", "not a file")):
        with pytest.raises(ConfigError, match=rf"{name}.yaml: {message}"):
            load(tmp_path / f"{name}.yaml")


@pytest.mark.parametrize(("text", "count"), [("", 0), ("# nothing", 0), ("a: 1\n---\nb: 2\n", 2)])
def test_file_of_one_document_holds_one(tmp_path: Path, text: str, count: int) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert len(load_all(file)) == count
    with pytest.raises(ConfigError, match=f"expected one document, found {count}"):
        load(file)


def test_known_keys_are_told() -> None:
    value = one("a: 1\nc: 2")
    with pytest.raises(ConfigError, match=r"x.yaml:2:1: unknown key `c`; known here: `a`, `b`"):
        value.fields(required=frozenset({"b"}), optional=frozenset({"a"}))
    with pytest.raises(ConfigError, match=r"x.yaml:1:1: key `b` is missing"):
        value.fields(required=frozenset({"b"}), optional=frozenset({"a", "c"}))
    assert value.fields(optional=frozenset({"a", "c", "d"})).get("d") is None


@pytest.mark.parametrize(
    ("text", "method", "expected"),
    [
        ("x", "text", "x"),
        ("'1'", "text", "1"),
        ("yes", "text", "yes"),
        ("12", "integer", 12),
        ("-1_000", "integer", -1000),
        ("true", "boolean", True),
        ("False", "boolean", False),
        ("[a, b]", "texts", ("a", "b")),
        ("250ms", "duration", 0.25),
        ("30s", "duration", 30.0),
        ("10m", "duration", 600.0),
        ("12h", "duration", 43_200.0),
        ("7d", "duration", 604_800.0),
        ("100B", "size", 100),
        ("512KiB", "size", 512 << 10),
        ("8MiB", "size", 8 << 20),
        ("1GiB", "size", 1 << 30),
        ("{a: [1, 1.5, true, null, x]}", "json", {"a": [1, 1.5, True, None, "x"]}),
        ("~", "json", None),
    ],
)
def test_value_is_read_as_what_it_is(text: str, method: str, expected: object) -> None:
    assert getattr(field(text), method)() == expected


@pytest.mark.parametrize(
    ("text", "method"),
    [
        *((text, "text") for text in ("1", "true", "~", "1.5", "2020-01-01", "[a]", "{a: 1}")),
        *((text, "integer") for text in ("x", "'1'", "1.0", "0x10", "0o17", "true", "9" * 5000)),
        *((text, "boolean") for text in ("'true'", "yes", "1", "!!bool maybe", "~")),
        *((text, "texts") for text in ("a", "[1]", "{a: b}")),
        *(
            (text, "duration")
            for text in ("30", "'30'", "s", "1.5s", "-1s", "1 s", "1w", "\u0661s", "9" * 5000 + "s", "1ss")
        ),
        *((text, "size") for text in ("100", "KiB", "1KB", "-1B", "1.5MiB", "9" * 5000 + "B", "\u0661B")),
        *((text, "json") for text in (".inf", "-.INF", ".nan", "1e999", "2020-01-01", "!!float x", "0x10")),
    ],
)
def test_value_of_another_kind_is_refused(text: str, method: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.yaml:1:\d+: "):
        getattr(field(text), method)()


def test_bounds_of_numbers_are_told() -> None:
    assert field("5").integer(low=5, high=5) == 5
    with pytest.raises(ConfigError, match="at least 6"):
        field("5").integer(low=6)
    with pytest.raises(ConfigError, match="at most 4"):
        field("5").integer(high=4)


def test_choice_is_told() -> None:
    assert field("a").choice("a", "b") == "a"
    with pytest.raises(ConfigError, match="`c` is none of `a`, `b`"):
        field("c").choice("a", "b")


def test_block_text_and_null_are_known() -> None:
    assert [field(t).is_block_text for t in ("|\n  x", ">\n  x", "x", "'x'")] == [True, True, False, False]
    assert [field(t).is_null for t in ("", "~", "null", "''", "0")] == [True, True, True, False, False]
    with pytest.raises(ConfigError, match="expected a mapping"):
        list(field("[a]").items())
    with pytest.raises(ConfigError, match="expected a list"):
        field("a").elements()


WORDS = [
    "a",
    "b",
    "1",
    "[",
    "]",
    "{",
    "}",
    ",",
    "-",
    ":",
    "?",
    "!",
    "|",
    ">",
    "&",
    "*",
    "@",
    "~",
    "'",
    '"',
    "\\",
    "\\x",
    "<<",
    "0x",
    "---",
    "...",
    "&x",
    "*x",
    "!!str",
    "!<x>",
    "%YAML",
]
PIECES = [*WORDS, ": ", ":\n", "\n", "- ", "  ", "---\n", "# c", "%YAML 1.1\n", "\t", "\x00", "\x85", "\r"]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join).map(str.encode) | st.binary(max_size=40))
def test_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    try:
        for document in parse_all(raw, FILE):
            document.json()
    except ConfigError as error:
        assert str(error).startswith("x.yaml")  # noqa: PT017  # both outcomes are right
