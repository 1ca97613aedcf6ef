import pytest

from holdpoint.domain.mask import MaskAction, MaskProfile, PathMask
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import compile_masks
from holdpoint.masking.paths import BadPath, Step, parse

X = "[masked]"


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        pytest.param("$.a.b", (Step("a"), Step("b")), id="names"),
        pytest.param("$.a[*].b", (Step("a"), Step(None), Step("b")), id="every-element"),
        pytest.param("$.a.*", (Step("a"), Step(None)), id="every-member"),
        pytest.param("$.a[0][10]", (Step("a"), Step(0), Step(10)), id="indexes"),
        pytest.param("$..b", (Step("b", deep=True),), id="any-depth"),
        pytest.param("$..*", (Step(None, deep=True),), id="everything"),
        pytest.param("$..['b c']", (Step("b c", deep=True),), id="any-depth-quoted"),
        pytest.param("$..[0]", (Step(0, deep=True),), id="any-depth-index"),
        pytest.param("$['a.b']['c\\'d'][\"e\\u0041\"]", (Step("a.b"), Step("c'd"), Step("eA")), id="quoted"),
        pytest.param("$.tls-key.größe", (Step("tls-key"), Step("größe")), id="dash-and-letters"),
    ],
)
def test_path_of_the_subset_is_understood(path: str, steps: tuple[Step, ...]) -> None:
    assert parse(path) == steps


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("", "position 1", id="empty"),
        pytest.param("a.b", "position 1", id="no-root"),
        pytest.param("$", "whole document", id="root-alone"),
        pytest.param("$a", "position 2", id="no-dot"),
        pytest.param("$.", "position 3", id="ends-after-dot"),
        pytest.param("$...a", "position 4", id="three-dots"),
        pytest.param("$.a..", "position 6", id="ends-after-two-dots"),
        pytest.param("$.a[-1]", "position 5", id="negative-index"),
        pytest.param("$.a[01]", "position 6", id="leading-zero"),
        pytest.param("$.a[0:2]", "position 6", id="slice"),
        pytest.param("$.a['b','c']", "position 8", id="union"),
        pytest.param("$.a[?@.b]", "position 5", id="filter"),
        pytest.param("$.a['b]", "position 5", id="open-quote"),
        pytest.param("$.a['\\q']", "position 6", id="unknown-escape"),
        pytest.param("$.a['\\ud800']", "position 6", id="surrogate"),
        pytest.param("$.a[", "position 5", id="open-bracket"),
        pytest.param("$.[a]", "position 3", id="dot-before-bracket"),
        pytest.param("$.a b", "position 4", id="blank-in-name"),
        pytest.param("$." + "a" * 1_100, "1024", id="too-long"),
    ],
)
def test_path_outside_the_subset_is_refused_with_its_position(path: str, says: str) -> None:
    with pytest.raises(BadPath, match=says):
        parse(path)


def test_bad_path_stops_the_start_and_names_profile_and_place() -> None:
    profile = MaskProfile("billing", paths=(PathMask("$.a[?@.b]", where="masks.yaml:7"),))
    with pytest.raises(ConfigError, match=r"masks\.yaml:7: mask profile `billing`: path `\$\.a\[\?@\.b\]`.*position 5"):
        compile_masks([profile], key=bytes(32))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param("$.a.b", {"a": {"b": 1, "c": 2}, "b": 3}, {"a": {"b": X, "c": 2}, "b": 3}, id="names"),
        pytest.param("$.a[*].c", {"a": [{"c": 1}, {"d": 1}]}, {"a": [{"c": X}, {"d": 1}]}, id="elements"),
        pytest.param("$.a[*]", {"a": {"x": 1, "y": [2]}}, {"a": {"x": X, "y": [X]}}, id="star-takes-members-too"),
        pytest.param("$.a[1]", {"a": [1, 2, 3]}, {"a": [1, X, 3]}, id="one-index"),
        pytest.param("$.a[1]", {"a": {"1": "kept"}}, {"a": {"1": "kept"}}, id="an-index-is-no-name"),
        pytest.param("$['1']", [0, 1], [0, 1], id="a-name-is-no-index"),
        pytest.param("$..b", {"a": [{"b": 1}], "b": {"b": 2}}, {"a": [{"b": X}], "b": {"b": X}}, id="any-depth"),
        pytest.param("$..a.b", {"x": {"a": {"a": {"b": 1}}}}, {"x": {"a": {"a": {"b": X}}}}, id="any-depth-repeated"),
        pytest.param("$.a..c", {"a": {"b": {"c": 1}}, "c": 2}, {"a": {"b": {"c": X}}, "c": 2}, id="any-depth-below"),
        pytest.param("$.a", {"a": {"b": [1, True, None, "x"]}}, {"a": {"b": [X, X, None, X]}}, id="every-leaf-below"),
        pytest.param("$.a", {"A": 1}, {"A": 1}, id="case-matters"),
        pytest.param("$[*].a", [{"a": 1}], [{"a": X}], id="root-is-an-array"),
    ],
)
def test_path_masks_what_it_names_and_nothing_else(path: str, value: JsonValue, expected: JsonValue) -> None:
    masker = compile_masks([MaskProfile("p", paths=(PathMask(path),))], key=bytes(32))
    assert masker.value(value).value == expected


def test_of_two_paths_to_one_place_the_stricter_action_counts() -> None:
    paths = (
        PathMask("$.a", MaskAction.HASH),
        PathMask("$..b", MaskAction.REDACT),
        PathMask("$.a.c", MaskAction.PARTIAL),
    )
    masker = compile_masks([MaskProfile("p", paths=paths)], key=bytes(32))
    made = masker.value({"a": {"b": "x", "c": "a-long-invented-value-0001"}}).value
    assert isinstance(made, dict)
    assert isinstance(inner := made["a"], dict)
    assert inner["b"] == X
    assert str(inner["c"]).startswith("[masked:hmac:")


def test_each_document_inside_a_string_has_a_root_of_its_own() -> None:
    masker = compile_masks([MaskProfile("p", paths=(PathMask("$.a"),))], key=bytes(32))
    assert masker.value({"text": '{"a":1,"b":{"a":2}}'}).value == {"text": '{"a":"[masked]","b":{"a":2}}'}


YAML = """\
# made by a tool
apiVersion: one
items:
- a: 1
  b: {c: 2, "d": 3}
  'q r': x
- a: |
    several
    lines
  b:
    c:
    - e: 4
      f: 5
    -   e: 6
last: 7
"""


@pytest.mark.parametrize(
    ("path", "gone", "stays"),
    [
        pytest.param("$.last", ["7"], ["4", "6"], id="top"),
        pytest.param("$.items[*].a", ["1\n", "several", "lines"], ["4", "7"], id="in-a-list"),
        pytest.param("$.items[1].a", ["several"], ["a: 1"], id="by-index"),
        pytest.param("$.items[0]", ["a: 1", "c: 2"], ["several"], id="element"),
        pytest.param("$.items[*]['q r']", ["x\n"], ["a: 1"], id="quoted-name"),
        pytest.param("$.items[*].b.c[*].e", ["4", "6"], ["5", "7"], id="lists-in-mappings"),
        pytest.param("$..e", ["4", "6"], ["5", "7"], id="any-depth"),
        pytest.param("$.items[*].b.d", ["3", "c: 2"], ["f: 5"], id="flow-is-masked-whole"),
        pytest.param("$.items", ["1\n", "several", "4", "5", "6"], ["7"], id="everything-below"),
        pytest.param("$.a", [], ["a: 1", "several"], id="not-at-this-place"),
    ],
)
def test_path_holds_in_yaml_text_too(path: str, gone: list[str], stays: list[str]) -> None:
    masker = compile_masks([MaskProfile("p", paths=(PathMask(path),))], key=bytes(32))
    masked = masker.text(YAML)
    assert [g for g in gone if g in masked.value] == []
    assert [s for s in stays if s not in masked.value] == []
    assert (masked.count > 0) == bool(gone)
    assert masker.text(masked.value).count == 0


def test_path_starts_anew_in_each_yaml_document() -> None:
    masker = compile_masks([MaskProfile("p", paths=(PathMask("$.a.b"),))], key=bytes(32))
    assert masker.text("a:\n  c: 1\n---\nb: 2\na:\n  b: 3\n").value == 'a:\n  c: 1\n---\nb: 2\na:\n  b: "[masked]"\n'
    first = compile_masks([MaskProfile("p", paths=(PathMask("$[0].a"),))], key=bytes(32))
    assert first.text("- a: 1\n- a: 2\n---\n- a: 3\n").value == '- a: "[masked]"\n- a: 2\n---\n- a: "[masked]"\n'
