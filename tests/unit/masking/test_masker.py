import copy
from collections import OrderedDict

import pytest

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile, PathMask
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.masking.strings import Unmaskable

KEY = bytes(range(32))
X = "[masked]"


def keyed(*keys: str, action: MaskAction = MaskAction.REDACT, key: bytes = KEY) -> Masker:
    return compile_masks([MaskProfile("p", keys=tuple(KeyMask(k, action) for k in keys))], key=key)


def full(action: MaskAction = MaskAction.REDACT) -> Masker:
    profile = MaskProfile(
        "full",
        keys=(KeyMask("password", action), KeyMask("*_token", action)),
        detectors=tuple(
            DetectorMask(n, action=action) for n in ("aws-access-key-id", "card-number", "kubernetes-secret")
        ),
    )
    return compile_masks([profile], key=KEY)


def test_masker_without_rules_is_empty_and_changes_nothing() -> None:
    for masker in (compile_masks([], key=KEY), compile_masks([MaskProfile("none")], key=KEY)):
        value: JsonValue = {"password": "x"}
        assert masker.is_empty
        assert masker.value(value).value is value
        assert masker.document(b"\xff\x00", "image/png").value == b"\xff\x00"
        assert masker.sealed(value) == value


def test_names_are_those_of_the_profiles_each_once() -> None:
    assert compile_masks([MaskProfile("b"), MaskProfile("a"), MaskProfile("b")], key=KEY).names == ("b", "a")


def test_short_key_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="shorter than 16 bytes"):
        compile_masks([], key=b"short")


@pytest.mark.parametrize("key", ["", "*", " ** ", "k" * 129])
def test_key_mask_that_says_nothing_stops_the_start(key: str) -> None:
    with pytest.raises(ConfigError, match=r"k\.yaml:2: mask profile `p`: key"):
        compile_masks([MaskProfile("p", keys=(KeyMask(key, where="k.yaml:2"),))], key=KEY)


@pytest.mark.parametrize(
    ("mask", "key", "hit"),
    [
        pytest.param("password", "password", True, id="same"),
        pytest.param("password", "PassWord", True, id="case"),
        pytest.param("password", " password ", True, id="blanks"),
        pytest.param("password", "passwords", False, id="longer"),
        pytest.param("*_token", "a_token", True, id="star-before"),
        pytest.param("*_token", "tokens_token_", False, id="star-before-not-after"),
        pytest.param("db.*", "db.\n.x", True, id="star-takes-anything"),
        pytest.param("a*b*c", "a-b-c", True, id="two-stars"),
        pytest.param("a.b", "aXb", False, id="dot-is-a-dot"),
        pytest.param("a[0]", "a[0]", True, id="brackets-are-brackets"),
        pytest.param("straße", "STRAßE", True, id="letters-of-any-script"),
    ],
)
def test_key_mask_matches_whole_names(mask: str, key: str, hit: bool) -> None:  # a column of the table
    assert keyed(mask).value({key: "v"}).value == {key: X if hit else "v"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("text", X, id="text"),
        pytest.param("", X, id="empty-text"),
        pytest.param(12, X, id="number"),
        pytest.param(1.5, X, id="fraction"),
        pytest.param(True, X, id="true"),
        pytest.param(None, None, id="null-holds-nothing"),
        pytest.param([1, ["a"]], [X, [X]], id="array"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": X}}, id="object-keeps-its-names"),
        pytest.param({}, {}, id="empty-object"),
    ],
)
def test_everything_under_a_masked_key_is_masked(value: JsonValue, expected: JsonValue) -> None:
    assert keyed("password").value({"password": value, "b": 1}).value == {"password": expected, "b": 1}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("0123456789abcdef", "[masked:last4:cdef]", id="twelve-hidden"),
        pytest.param("0123456789abcde", X, id="eleven-would-be-hidden"),
        pytest.param("0123456789ab]def", X, id="tail-that-would-end-the-mark"),
        pytest.param(4111111111111111, "[masked:last4:1111]", id="number"),
        pytest.param(1.25, X, id="fraction"),
        pytest.param(True, X, id="boolean"),
    ],
)
def test_partial_leaves_four_where_twelve_are_hidden(value: JsonValue, shown: str) -> None:
    assert keyed("k", action=MaskAction.PARTIAL).value({"k": value}).value == {"k": shown}


def test_hash_makes_equal_values_look_equal_and_nothing_else() -> None:
    made = keyed("k", action=MaskAction.HASH).value([{"k": v} for v in ("1", "1", 1, True, "2")]).value
    assert isinstance(made, list)
    shown = [str(m["k"]) for m in made if isinstance(m, dict)]
    assert all(s.startswith("[masked:hmac:") and len(s) == len("[masked:hmac:]") + 16 for s in shown)
    assert shown[0] == shown[1]
    assert len(set(shown)) == 4
    assert keyed("k", action=MaskAction.HASH, key=bytes(32)).value({"k": "1"}).value != {"k": shown[0]}


def test_what_is_given_is_never_changed() -> None:
    value: JsonValue = {"a": [{"password": "x", "AKIAIOSFODNN7EXAMPLE": "AKIAIOSFODNN7EXAMPLE"}], "b": {"c": [1]}}
    before = copy.deepcopy(value)
    assert full().value(value).count == 3
    assert value == before


def test_values_of_classes_of_their_own_are_masked_too() -> None:
    class Text(str):
        __slots__ = ()

    value: JsonValue = {"a": OrderedDict(b=[Text("AKIAIOSFODNN7EXAMPLE")], password=Text("x"))}
    assert full().value(value).value == {"a": {"b": [X], "password": X}}


def test_clean_value_is_returned_itself() -> None:
    value: JsonValue = {"a": [1, "x", None], "b": {"c": "[masked]"}}
    masked = full().value(value)
    assert masked.value is value
    assert masked.count == 0


def test_secret_in_a_member_name_is_masked_and_order_is_kept() -> None:
    value: JsonValue = {"a": 1, "AKIAIOSFODNN7EXAMPLE": 2, "x": 3, "AKIAIOSFODNN7EXAMPLF": 4}
    masked = full().value(value)
    assert masked.value == {"a": 1, X: 2, "x": 3, f"{X}-2": 4}
    assert isinstance(masked.value, dict)
    assert list(masked.value) == ["a", X, "x", f"{X}-2"]
    assert full().value(masked.value).count == 0


def test_member_called_like_a_mark_is_not_overwritten() -> None:
    value: JsonValue = {X: "kept", "AKIAIOSFODNN7EXAMPLE": "also"}
    assert full().value(value).value == {X: "kept", f"{X}-2": "also"}


def test_large_number_is_looked_at_as_text() -> None:
    assert full().value({"card": 4111111111111111, "at": 1795228865924096000, "n": -5}).value == {
        "card": X,
        "at": 1795228865924096000,
        "n": -5,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"name": "DB_TOKEN", "value": "x"}, {"name": "DB_TOKEN", "value": X}, id="name-and-value"),
        pytest.param({"key": "password", "value": ["x"]}, {"key": "password", "value": [X]}, id="key-and-value"),
        pytest.param({"name": "MODE", "value": "x"}, {"name": "MODE", "value": "x"}, id="other-name"),
        pytest.param({"name": "DB_TOKEN"}, {"name": "DB_TOKEN"}, id="no-value"),
        pytest.param({"name": 1, "value": "x"}, {"name": 1, "value": "x"}, id="name-is-no-text"),
    ],
)
def test_pair_of_name_and_value_counts_as_a_key(value: JsonValue, expected: JsonValue) -> None:
    assert full().value([value]).value == [expected]


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param({"kind": "Secret", "data": {"a": "eA=="}}, id="object"),
        pytest.param({"kind": "secret", "stringData": {"a": "x"}}, id="any-case"),
        pytest.param({"kind": "SecretList", "items": [{"data": {"a": "eA=="}}, 1]}, id="list-whose-items-lack-a-kind"),
        pytest.param({"type": "kubernetes.io/tls", "data": {"tls.key": "eA=="}}, id="known-by-type"),
        pytest.param({"type": "ADDED", "object": {"kind": "Secret", "data": {"a": "eA=="}}}, id="watch-event"),
        pytest.param({"kind": "List", "items": [{"kind": "Secret", "data": {"a": "eA=="}}]}, id="in-a-list"),
        pytest.param(
            {"kind": "Table", "rows": [{"object": {"kind": "Secret", "data": {"a": "eA=="}}}]}, id="table-row"
        ),
    ],
)
def test_data_of_a_secret_is_masked_wherever_it_stands(secret: JsonValue) -> None:
    text = str(full().value(secret).value)
    assert "eA==" not in text
    assert "'a': 'x'" not in text
    assert X in text


def test_shape_is_seen_again_in_the_next_document() -> None:
    masker = full()
    secret: JsonValue = {"kind": "Secret", "data": {"a": "eA=="}, "env": [{"name": "DB_TOKEN", "value": "eA=="}]}
    clean: JsonValue = {"kind": "Secret", "data": {}, "env": [{"name": "MODE", "value": "b"}], "items": []}
    assert masker.value(clean).count == 0
    for _ in range(2):
        assert "eA==" not in str(masker.value(secret).value)
        assert "eA==" not in str(masker.value([{"kind": "SecretList", "items": [{"data": {"a": "eA=="}}]}]).value)


def test_short_number_is_not_looked_at() -> None:
    masker = compile_masks([MaskProfile("p", detectors=(DetectorMask("own", "[0-9]{4}"),))], key=KEY)
    assert masker.value({"a": 1234, "b": [12345678], "c": "1234"}).value == {"a": 1234, "b": [12345678], "c": X}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"kind": "ConfigMap", "data": {"a": "x"}}, id="config-map"),
        pytest.param({"type": "Normal", "data": {"a": "x"}}, id="other-type"),
        pytest.param({"kind": ["Secret"], "data": {"a": "x"}}, id="kind-is-no-text"),
        pytest.param({"kind": "Secret", "metadata": {"name": "x"}}, id="secret-without-data"),
    ],
)
def test_data_of_anything_else_stays(value: JsonValue) -> None:
    assert full().value(value).count == 0


def test_deep_nesting_is_refused_and_not_skipped() -> None:
    value: JsonValue = {"password": "x"}
    for _ in range(130):
        value = [value]
    with pytest.raises(Unmaskable, match="nested too deep"):
        full().value(value)
    hidden: JsonValue = {"password": value}
    with pytest.raises(Unmaskable, match="nested too deep"):
        full().value(hidden)


def test_value_with_a_lone_surrogate_is_masked_where_it_is_suspect() -> None:
    assert full().value(["\ud800 AKIAIOSFODNN7EXAMPLE"]).value == [X]
    assert full().value({"\ud800": "x"}).count == 0


class TestSealed:
    def test_masked_leaves_are_sealed_whole_whatever_their_action(self) -> None:
        for action in MaskAction:
            made = full(action).sealed({"password": "x", "note": "has AKIAIOSFODNN7EXAMPLE inside", "n": 1, "z": None})
            assert isinstance(made, dict)
            assert made["n"] == 1
            assert made["z"] is None
            for leaf in ("password", "note"):
                assert str(made[leaf]).startswith("[sealed:")
                assert len(str(made[leaf])) == len("[sealed:]") + 64

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            pytest.param("1", 1, id="text-and-number"),
            pytest.param(1, True, id="number-and-boolean"),
            pytest.param("a", "b", id="other-text"),
            pytest.param("", None, id="empty-and-null"),
            pytest.param(10**30, 10**30 + 1, id="beyond-doubles"),
            pytest.param("x", "[masked]", id="a-mark-is-not-what-it-stands-for"),
        ],
    )
    def test_values_that_differ_seal_differently(self, one: JsonValue, other: JsonValue) -> None:
        assert full().sealed({"password": one}) != full().sealed({"password": other})

    def test_seal_does_not_stand_for_the_value_it_was_made_of(self) -> None:
        sealed = full().sealed({"note": "AKIAIOSFODNN7EXAMPLE"})
        assert full().sealed(sealed) != sealed
        sealed = full().sealed({"password": "x"})
        assert full().sealed(sealed) != sealed

    def test_names_that_hold_secrets_seal_differently(self) -> None:
        one, other = full().sealed({"AKIAIOSFODNN7EXAMPLE": 1}), full().sealed({"AKIAIOSFODNN7EXAMPLF": 1})
        assert one != other
        assert "AKIA" not in str(one)

    def test_equal_values_seal_equally(self) -> None:
        value: JsonValue = {"b": [{"password": {"x": 1}}], "a": "AKIAIOSFODNN7EXAMPLE"}
        assert full().sealed(value) == full().sealed(copy.deepcopy(value))

    def test_seal_is_not_the_hash_that_is_shown(self) -> None:
        shown = full(MaskAction.HASH).value({"password": "x"}).value
        sealed = full().sealed({"password": "x"})
        assert isinstance(shown, dict)
        assert isinstance(sealed, dict)
        assert str(shown["password"])[13:-1] not in str(sealed["password"])


def test_profiles_are_joined_and_the_stricter_action_counts() -> None:
    profiles = [
        MaskProfile("a", keys=(KeyMask("k", MaskAction.HASH),)),
        MaskProfile("b", paths=(PathMask("$.k", MaskAction.REDACT),)),
    ]
    assert compile_masks(profiles, key=KEY).value({"k": "v"}).value == {"k": X}
