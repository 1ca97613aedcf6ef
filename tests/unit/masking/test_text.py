import base64

import pytest

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile, PathMask
from holdpoint.masking.masker import Masker, compile_masks

KEY = bytes(range(32))


def masker(action: MaskAction = MaskAction.REDACT) -> Masker:
    profile = MaskProfile(
        "p",
        paths=(PathMask("$.deep.field"),),
        keys=(KeyMask("password", action), KeyMask("*token", action), KeyMask("authorization", action)),
        detectors=tuple(DetectorMask(n) for n in ("aws-access-key-id", "private-key", "kubernetes-secret")),
    )
    return compile_masks([profile], key=KEY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("password: x y\nb: c", 'password: "[masked]"\nb: c', id="yaml"),
        pytest.param("password: W21hc2tlZF0=", "password: W21hc2tlZF0=", id="coded-mark"),
        pytest.param("password: W21hc2tlZF0gbm90\nb: c", 'password: "[masked]"\nb: c', id="a-mark-and-more-in-base64"),
        pytest.param("  Password:\tx\n", '  Password:\t"[masked]"\n', id="case-and-tab"),
        pytest.param("- password: x\n  b: c", '- password: "[masked]"\n  b: c', id="list-item"),
        pytest.param("- - password: x\n    b: c", '- - password: "[masked]"\n    b: c', id="nested-list-item"),
        pytest.param('"password": "x",\n"b": 1', '"password": "[masked]",\n"b": 1', id="quoted-key"),
        pytest.param("'password': 'x''y'\nb: c", "'password': '[masked]'\nb: c", id="single-quotes"),
        pytest.param('password: "a\\"b" # c\n', 'password: "[masked]" # c\n', id="escaped-quote"),
        pytest.param('password: "a\n  b"\nc: d', 'password: "[masked]"\nc: d', id="quoted-over-lines"),
        pytest.param('password: "a\nb\nc', 'password: "[masked]"', id="quote-never-closed"),
        pytest.param('password: "a"b c\nd: e', 'password: "[masked]"\nd: e', id="goes-on-after-its-quote"),
        pytest.param("password: |\n  a\n\n  b\nc: d", 'password: "[masked]"\nc: d', id="block"),
        pytest.param("password: >-\n  a\n  b\nc: d", 'password: "[masked]"\nc: d', id="folded"),
        pytest.param("password: !!binary |2-\n  a\nc: d", 'password: "[masked]"\nc: d', id="tagged-block"),
        pytest.param("password: a\n  b\nc: d", 'password: "[masked]"\nc: d', id="plain-over-lines"),
        pytest.param("password:\n  a: b\n  c:\n  - d\ne: f", 'password:"[masked]"\ne: f', id="mapping"),
        pytest.param("password:\n- a\n- b\nc: d", 'password:"[masked]"\nc: d', id="list-at-its-own-column"),
        pytest.param("password: {a: b,\n c: d}\ne: f", 'password: "[masked]"\ne: f', id="flow-mapping"),
        pytest.param("password: [a, ']', b]\nc: d", 'password: "[masked]"\nc: d', id="flow-list"),
        pytest.param("password: {a: b", 'password: "[masked]"', id="flow-never-closed"),
        pytest.param("a: {password: x, b: c}", 'a: {password: "[masked]", b: c}', id="in-flow"),
        pytest.param("a: {password: 'x, y', b: c}", "a: {password: '[masked]', b: c}", id="quoted-in-flow"),
        pytest.param("PASSWORD=x y\nB=c", "PASSWORD=[masked]\nB=c", id="environment"),
        pytest.param("export DB_TOKEN='x'\n", "export DB_TOKEN='[masked]'\n", id="export"),
        pytest.param('password = """a\nb"""\nc = 1', 'password = """[masked]"""\nc = 1', id="three-quotes"),
        pytest.param("[db]\npassword = x\nuser = y", "[db]\npassword = [masked]\nuser = y", id="ini"),
        pytest.param("spring.datasource.password=x", "spring.datasource.password=[masked]", id="properties"),
        pytest.param("Authorization: Basic abc def\r\nA: b", 'Authorization: "[masked]"\r\nA: b', id="header"),
        pytest.param("level=info password=x y=z", "level=info password=[masked] y=z", id="logfmt"),
        pytest.param('level=info password="x y" z=1', 'level=info password="[masked]" z=1', id="logfmt-quoted"),
        pytest.param("run --password=x,y --b", "run --password=[masked] --b", id="flag"),
        pytest.param("https://h/?a=b&token=x&c=d", "https://h/?a=b&token=[masked]&c=d", id="query"),
        pytest.param("https://h/?token=x&y z", "https://h/?token=[masked] z", id="ampersand-in-the-value"),
        pytest.param("Server=h;Password=x;User=y", "Server=h;Password=[masked];User=y", id="connection-string"),
        pytest.param("header authorization=Bearer x y", "header authorization=[masked] y", id="scheme-and-token"),
        pytest.param("curl -H 'Authorization: Bearer x'", 'curl -H \'Authorization: "[masked]"', id="inline-header"),
        pytest.param("x password: AKIAIOSFODNN7EXAMPLE and more\nb", 'x password: "[masked]"\nb', id="mark-and-more"),
        pytest.param("a: {password: 'x''y', b: c}", "a: {password: '[masked]', b: c}", id="doubled-quote-in-flow"),
        pytest.param("got {'password': 'x'} ok", "got {'password': '[masked]'} ok", id="python-repr"),
        pytest.param('got {"password": 12, "b": 3}', 'got {"password": "[masked]", "b": 3}', id="number"),
        pytest.param('x {\\"password\\": \\"a\\\\\\"b\\"}', 'x {\\"password\\": \\"[masked]\\"}', id="escaped-json"),
        pytest.param(
            '{"password": "a", "password": "b"}', '{"password": "[masked]", "password": "[masked]"}', id="twice"
        ),
        pytest.param("<a><password>x</password></a>", "<a><password>[masked]</password></a>", id="xml"),
        pytest.param(
            "<n:Password k='v'>x<y/>z</n:Password>", "<n:Password k='v'>[masked]</n:Password>", id="xml-prefix"
        ),
        pytest.param("<password>x", "<password>[masked]", id="xml-never-closed"),
        pytest.param('<user password="x" b="c">', '<user password="[masked]" b="c">', id="xml-attribute"),
        pytest.param(
            "- name: DB_TOKEN\n  value: x\n- name: B\n  value: y",
            '- name: DB_TOKEN\n  value: "[masked]"\n- name: B\n  value: y',
            id="pair",
        ),
        pytest.param("password: {}\ntoken: ''\nb: c", "password: {}\ntoken: ''\nb: c", id="nothing-there"),
        pytest.param("the password is not said", "the password is not said", id="no-separator"),
        pytest.param("passwords: 3", "passwords: 3", id="other-key"),
        pytest.param('{"a": "AKIAIOSFODNN7EXAMPLE"} AKIAIOSFODNN7EXAMPLE', '{"a": "[masked]"} [masked]', id="detector"),
    ],
)
def test_value_of_a_key_in_text_is_masked(text: str, expected: str) -> None:
    masked = masker().text(text)
    assert masked.value == expected
    assert masker().text(masked.value).count == 0


def test_private_key_after_a_key_is_masked_to_its_end() -> None:
    text = "password: -----BEGIN PRIVATE KEY-----\nMIIinvented\n-----END PRIVATE KEY-----\nb: c"
    assert masker().text(text).value == "password: [masked]\nb: c"


def test_action_counts_in_text_too() -> None:
    masked = masker(MaskAction.PARTIAL).text("token=0123456789abcdef").value
    assert masked == "token=[masked:last4:cdef]"


SECRET = "apiVersion: v1\ndata:\n  a: eA==\n  b: |\n    eA==\nkind: Secret\nmetadata:\n  name: n\n"


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        pytest.param(SECRET, ["  a: ", "  name: n"], id="kind-after-data"),
        pytest.param("kind: Secret\nstringData:\n  a: eA==\n", ["  a: "], id="kind-before-data"),
        pytest.param("kind: Secret\ndata: {a: eA==}\nb: c\n", ["b: c"], id="flow"),
        pytest.param("kind: Secret\ndata: {a: eA==,\n  b: c}\nd: e\n", ["d: e"], id="flow-over-lines"),
        pytest.param("kind: Secret\ndata: &x\n  a: eA==\nd: e\n", ["d: e"], id="anchored"),
        pytest.param("kind: Secret\ndata:\n  a: eA==\n  ? odd\n  : eA==\nd: e\n", ["d: e"], id="entry-that-is-none"),
        pytest.param("- apiVersion: v1\n  data:\n    a: eA==\n  kind: Secret\n", ["    a: "], id="list-item"),
        pytest.param("- data:\n    a: eA==\n  kind: Secret\n", ["    a: "], id="first-in-its-item"),
        pytest.param("items:\n- kind: Secret\n  data:\n    'a b': eA==\n", ["    'a b': "], id="quoted-name"),
        pytest.param("kind: SecretList\nitems:\n- data:\n    a: eA==\n", ["    a: "], id="secret-list"),
        pytest.param("type: kubernetes.io/tls\ndata:\n  tls.key: eA==\n", ["  tls.key: "], id="by-type"),
        pytest.param("{kind: Secret, data: {a: eA==}, b: c}", [", b: c}"], id="all-flow"),
        pytest.param(
            "kind: Secret\ndata:\n  a: eA==\n# note\n---\nkind: ConfigMap\ndata:\n  c: kept\n",
            ["  c: kept"],
            id="documents",
        ),
        pytest.param(
            "- kind: Secret\n  data:\n    a: eA==\n- kind: ConfigMap\n  data:\n    c: kept\n",
            ["    c: kept"],
            id="neighbours",
        ),
    ],
)
def test_data_of_a_secret_in_yaml_is_masked(text: str, keeps: list[str]) -> None:
    masked = masker().text(text)
    assert "eA==" not in masked.value
    assert all(k in masked.value for k in keeps)
    assert masker().text(masked.value).count == 0


def test_data_of_anything_else_in_yaml_stays() -> None:
    for text in (
        "kind: ConfigMap\ndata:\n  a: eA==\nmetadata:\n  note: about a kind of Secret\n",
        "a:\n  data:\n    x: kept\nb:\n  kind: Secret\n",
        "b:\n  kind: Secret\na:\n  data:\n    x: kept\n",
    ):
        assert masker().text(text).value == text


def test_many_sections_are_masked_rather_than_searched_for_ever() -> None:
    text = "kind: Secret\n" + "data:\n  a: eA==\n" * 1_000
    masked = masker().text(text)
    assert "eA==" not in masked.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            '{"password":"x","deep":{"field":1}}', '{"password":"[masked]","deep":{"field":"[masked]"}}', id="object"
        ),
        pytest.param('  [ {"password" : 1e400 } ]\n', '[{"password":"[masked]"}]', id="spaced"),
        pytest.param('"\\u0041KIAIOSFODNN7EXAMPLE"', '"[masked]"', id="string"),
        pytest.param('x\n  {"password":"x"}\ny', 'x\n  {"password":"[masked]"}\ny', id="line-of-a-log"),
        pytest.param('{"a":"{\\"password\\":\\"x\\"}"}', '{"a":"{\\"password\\":\\"[masked]\\"}"}', id="within-itself"),
        pytest.param('{"a": 1.10, "b": "c"}', '{"a": 1.10, "b": "c"}', id="clean-stays-byte-for-byte"),
    ],
)
def test_document_in_a_string_is_masked_as_one(text: str, expected: str) -> None:
    assert masker().text(text).value == expected


def test_documents_nested_beyond_the_limit_are_masked_whole() -> None:
    text = '{"a":"b"}'
    for _ in range(7):
        text = '{"a":' + '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"}'
    masked = masker().text(text)
    assert "[masked]" in masked.value
    assert "b" not in masked.value.replace("[masked]", "")


def test_document_nested_too_deep_in_a_string_is_masked_whole() -> None:
    text = '{"a":' * 200 + "1" + "}" * 200
    assert masker().value([text]).value == ['"[masked]"']


@pytest.mark.parametrize(
    "hidden",
    [
        pytest.param("AKIAIOSFODNN7EXAMPLE", id="detector"),
        pytest.param('{"password":"hunter2"}', id="document"),
        pytest.param("user: me\npassword: hunter2\n", id="yaml"),
    ],
)
def test_base64_of_text_with_something_to_mask_is_masked_whole(hidden: str) -> None:
    standard = base64.b64encode(hidden.encode()).decode()
    twice = base64.b64encode(standard.encode()).decode()
    wrapped = base64.encodebytes((hidden + "\n" + "x" * 60).encode()).decode()
    for encoded in (standard, standard.rstrip("="), twice, f"see {standard}.", wrapped):
        masked = masker().text(encoded)
        assert masked.count == 1
        assert encoded.strip()[:12] not in masked.value
    assert masker().value({"a": standard}).value == {"a": "[masked]"}


def test_base64_is_found_between_other_lines_and_words() -> None:
    encoded = base64.b64encode(b'{"password":"hunter2-invented-0001"}').decode()
    wrapped = base64.encodebytes(b"x" * 70 + b" password: hunter2-invented " + b"y" * 70).decode()
    assert masker().text(f"{encoded}\naaaa\nmore words").value == "[masked]\nmore words"
    assert masker().text(f"{encoded}aaaa more").value == "[masked] more"
    assert masker().text(f"{encoded}\n{'/+7/' * 15}").value == f"[masked]\n{'/+7/' * 15}"
    short = base64.b64encode(b"token: abcde").decode()
    assert masker().value([short, short, "é" * 9, "é", short]).value == [
        "[masked]",
        "[masked]",
        "é" * 9,
        "é",
        "[masked]",
    ]
    assert masker().text(f"a:\n{wrapped}b: c\n").value == "a:\n[masked]\nb: c\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(base64.b64encode(b"nothing to see here").decode(), id="clean-text"),
        pytest.param(base64.b64encode(bytes(range(200, 256))).decode(), id="binary"),
        pytest.param("89bd55b6-ac87-495d-badd-78d6f08c9d99", id="uuid"),
        pytest.param("sha256:" + "0a" * 32, id="digest"),
        pytest.param("/apis/apps/v1/namespaces/default/deployments", id="path"),
    ],
)
def test_other_base64_stays(text: str) -> None:
    assert masker().text(text).value == text


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('x {"a": "\\u0041KIAIOSFODNN7EXAMPLE"}', id="json-escape"),
        pytest.param('a: "\\x41KIAIOSFODNN7EXAMPLE"', id="yaml-escape"),
        pytest.param('x {"p\\u0061ssword": "hunter2"}', id="escaped-key"),
        pytest.param("`\\u{41}KIAIOSFODNN7EXAMPLE`", id="script-escape"),
    ],
)
def test_escapes_hide_nothing(line: str) -> None:
    assert masker().text(f"before\n{line}\nafter").value == "before\n[masked]\nafter"


def test_escapes_that_hide_nothing_stay() -> None:
    text = 'x {"a": "\\u003cnone\\u003e \\x41"}'
    assert masker().text(text).value == text


def test_pattern_that_always_finds_more_ends_in_one_mark() -> None:
    own = MaskProfile("p", detectors=(DetectorMask("own", "^[a-z]"),))
    assert compile_masks([own], key=KEY).text("abcdefghijklm").value == "[masked]"
