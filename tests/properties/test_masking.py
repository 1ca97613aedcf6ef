import base64
import json
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fakes.mask_profiles import KEY, shipped

from holdpoint.domain.canonical import canonical
from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile, PathMask
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import compile_masks
from holdpoint.masking.streams import SseMasker
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols.sse import Event, Parser, encode

MASKER = compile_masks(
    [
        MaskProfile(
            "p",
            paths=(PathMask("$.a.b"), PathMask("$..c[0]", MaskAction.HASH), PathMask("$.l[*].x", MaskAction.PARTIAL)),
            keys=(KeyMask("password"), KeyMask("*token", MaskAction.HASH), KeyMask("pin", MaskAction.PARTIAL)),
            detectors=(
                DetectorMask("aws-access-key-id"),
                DetectorMask("url-password"),
                DetectorMask("private-key"),
                DetectorMask("card-number", action=MaskAction.PARTIAL),
                DetectorMask("kubernetes-secret"),
                DetectorMask("own", r"\bzz+\b", MaskAction.HASH),
            ),
        )
    ],
    key=KEY,
)

FRAGMENTS = [
    *("password", "Token", "pin", "data", "stringData", "kind", "Secret", "name", "value", "a", "b", "zz", "zzz", "x"),
    *(
        ": ",
        ":",
        "=",
        " = ",
        "\n",
        "\n  ",
        "\n- ",
        "- ",
        " ",
        ", ",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "\\",
        '\\"',
        "|",
        "&",
        ";",
    ),
    *(
        "AKIAIOSFODNN7EXAMPLE",
        "4111 1111 1111 1111",
        "[masked]",
        "[masked:last4:1111]",
        "[masked",
        "<password>",
        "</",
        "é",
    ),
    *(
        "u://u:p@h",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "\\u0041",
        "QUtJQUlPU0ZPRE5ON0VYQU1QTEU=",
        "#",
    ),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
NAMES = (
    st.sampled_from(["a", "b", "c", "l", "x", "password", "my_Token", "pin", "name", "value", "kind", "data", "items"])
    | TEXTS
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=14
)


@given(VALUES)
def test_masking_twice_is_masking_once(value: JsonValue) -> None:
    once = MASKER.value(value)
    twice = MASKER.value(once.value)
    assert (twice.value, twice.count) == (once.value, 0)
    assert (once.count == 0) == (canonical(once.value) == canonical(value))


@example("passwordpassword: {zz")
@example("passwordpassword: [masked: zz")
@given(TEXTS)
@settings(max_examples=400)
def test_masking_a_text_twice_is_masking_it_once(text: str) -> None:
    once = MASKER.text(text)
    twice = MASKER.text(once.value)
    assert (twice.value, twice.count) == (once.value, 0)
    assert (once.count == 0) == (once.value == text)


SECRET = st.text("abcdefghjkmnpqrstuvwxyz23456789", min_size=14, max_size=24).map("s3cr3t".__add__)
FILLER = st.text("aeiou .,\n-", max_size=20)


def wrappings(secret: str) -> list[JsonValue]:
    """Ways in which a secret under a masked key, or one that a detector knows, may stand in a document."""
    key = "AKIA" + "".join(c for c in secret.upper() if c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").ljust(16, "Q")[:16]
    inner = json.dumps({"a": [{"password": secret}, f"x {key} y"]})
    return [
        {"password": {"deep": [secret, key]}},
        json.dumps({"a": {"b": [secret], key: 1}}),
        inner,
        json.dumps({"again": inner}),
        base64.b64encode(inner.encode()).decode(),
        f"log line {inner} more",
        f"first\n  {inner}\nlast",
        f"password: |\n  {secret}\n  {key}\nother: x",
        f"url?a=b&my_token={secret}&k={key}",
        f'<password kind="x">{secret}</password> {key}',
        {"kind": "Secret", "data": {"x": secret, "y": key}},
        f"kind: Secret\ndata:\n  x: {secret}\n  y: {key}\n",
        [{"name": "DB_TOKEN", "value": secret}],
    ]


@given(SECRET, FILLER, FILLER, st.data())
def test_no_masked_value_occurs_in_the_output(secret: str, before: str, after: str, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(wrappings(secret)))
    if isinstance(value, str):
        value = data.draw(st.sampled_from([value, f"{before}\n{value}\n{after}", json.dumps([before, value])]))
    document: JsonValue = {"t": [before, value, after]}
    masked = MASKER.value(document)
    out = json.dumps(masked.value)
    assert masked.count > 0
    assert secret not in out
    assert "AKIA" not in out
    body = MASKER.document(json.dumps(document).encode(), "application/json")
    assert secret.encode() not in body.value


@given(VALUES, st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]), st.sampled_from(["ascii", "utf-8"]))
def test_document_is_masked_as_its_value_and_clean_bytes_stay(
    value: JsonValue, marks: tuple[str, str], charset: str
) -> None:
    body = json.dumps(value, separators=marks, ensure_ascii=charset == "ascii").encode()
    masked = MASKER.document(body, "application/json")
    expected = MASKER.value(value)
    assert masked.count == expected.count
    if masked.count:
        assert json.JSONDecoder().decode(masked.value.decode()) == expected.value
    else:
        assert masked.value is body


@given(
    st.binary(max_size=200) | TEXTS.map(str.encode),
    st.sampled_from(["application/json", "text/plain", "application/x-ndjson", "application/x-www-form-urlencoded"]),
)
def test_any_body_is_masked_or_refused(body: bytes, content_type: str) -> None:
    try:
        masked = MASKER.document(body, content_type)
    except Unmaskable:
        return
    assert MASKER.document(masked.value, content_type).count == 0


EVENTS = st.lists(
    st.one_of(
        VALUES.map(lambda v: f"data: {json.dumps({'id': 1, 'result': v})}\n\n"),
        TEXTS.map(lambda t: "".join(f"data: x{line}\n" for line in t.splitlines()) + "\n"),
        st.sampled_from([": ping\n\n", "event: message\nid: 7\n", "\n", ": password: x\n\n"]),
    ),
    max_size=5,
).map("".join)


@given(EVENTS, st.lists(st.integers(0, 2_000), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_stream_is_masked_alike_however_it_is_cut(text: str, cuts: list[int], end: str) -> None:
    whole = text.replace("\r", " ").replace("\n", end).encode() + b"\n"

    def run(chunks: list[bytes]) -> tuple[bytes, int]:
        masker: SseMasker[Event] = SseMasker(MASKER, lambda v: v, parser=Parser(), encode=encode)
        return b"".join([*map(masker.feed, chunks), masker.end()]), masker.count

    places = sorted({min(c, len(whole)) for c in cuts} | {0, len(whole)})
    assert run([whole[a:b] for a, b in pairwise(places)]) == run([whole])


@given(VALUES, VALUES)
def test_sealed_values_are_equal_exactly_where_the_values_are(one: JsonValue, other: JsonValue) -> None:
    same = canonical(one) == canonical(other)
    assert (canonical(MASKER.sealed(one)) == canonical(MASKER.sealed(other))) == same
    assert (MASKER.value(one).count == 0) or canonical(MASKER.sealed(one)) != canonical(one)


@given(st.lists(TEXTS | st.text(max_size=6), max_size=8))
def test_a_text_is_looked_at_wherever_masking_would_change_it(texts: list[str]) -> None:
    strings = MASKER._strings
    suspects = set(strings.suspects(texts))
    assert all(i in suspects for i, t in enumerate(texts) if strings.mask(t)[1])


@given(TEXTS)
def test_shipped_profiles_come_to_rest(text: str) -> None:
    once = shipped().text(text)
    assert shipped().text(once.value).count == 0


@given(st.lists(TEXTS | st.text(max_size=6) | st.sampled_from(["application/json", "480", "identity"]), max_size=8))
def test_several_texts_are_masked_as_each_by_itself(texts: list[str]) -> None:
    for _ in range(2):  # the second time from memory
        masked = MASKER.texts(texts)
        each = [MASKER.text(t) for t in texts]
        assert masked.value == [m.value for m in each]
        assert masked.count == sum(m.count for m in each)


@given(VALUES)
def test_masking_in_place_is_masking_a_copy(value: JsonValue) -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": value, "content": [value]}})
    message, own = json.loads(text), json.loads(text)
    copied = MASKER.mcp(message)
    assert message == json.loads(text)
    assert MASKER.mcp(own, in_place=True) == copied
