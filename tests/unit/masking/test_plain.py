"""What one scan calls plain is what the masker would leave as it is, whatever it is made of."""

import base64
import random
import re
from collections.abc import Iterator

import pytest
from tests.fakes.mask_profiles import KEY, shipped

from holdpoint.domain.mask import DetectorMask, MaskProfile
from holdpoint.masking import strings
from holdpoint.masking.detectors import BUILT_IN
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.masking.regex import compile_regex
from holdpoint.masking.strings import Strings

AWS = "AKIAIOSFODNN7EXAMPLE"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
FRAGMENTS = (
    *("a", "x" * 30, "0123456789abcdef" * 3, " ", "  ", "\n", "\r\n", "\t", "\0", '"', "'", "\\", "/", "-", "---\n"),
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "=",
        ",",
        "@",
        "://",
        "http",
        "user",
        "é漢",
        "\ufffd",
        "[masked]",
        "[sealed:",
        "\x1a",
    ),
    *("kind: Secret\n", "kind", "Secret", "data:\n  a: b3BlbiBzZXNhbWU=\n", "type: Opaque\n", "data", "stringData:"),
    *(
        "password",
        "Token: ",
        "api_key=",
        "client-key-data: ",
        "tls.key",
        "hunter2",
        "Bearer ",
        "basic ",
        "name: token\n",
    ),
    *(AWS, AWS[:9], AWS[9:], JWT, JWT[:20], "-----BEGIN RSA PRIVATE KEY-----\n", "-----END RSA PRIVATE KEY-----\n"),
    *("http://u:p@h/", "me@example.org", "4111 1111 1111 1111", "078-05-1120", "DE89370400440532013000", "sig="),
    *("\\u0041KIAIOSFODNN7EXAMPLE", "\\x41", "\\u{41}", '{"password": "x"}', '\n{"password":"x"}\n', "[1, 2]\n", '"a"'),
    *(base64.b64encode(t.encode()).decode() for t in (f"id {AWS}\n", '{"password": "hunter2"}', "plain text, no more")),
    base64.encodebytes(f"a longer text of several lines, with {AWS} in its middle and more".encode() * 3).decode(),
    base64.encodebytes(bytes(range(256))).decode(),
)


def texts(seed: int, count: int) -> Iterator[str]:
    some = random.Random(seed)  # noqa: S311  # the same texts each time
    for _ in range(count):
        yield "".join(some.choices(FRAGMENTS, k=some.randrange(1, 9)))


def own() -> Masker:
    patterns = (DetectorMask("own", "CANARY-[0-9]+"), DetectorMask("wide", "(?s)xx.*zz"))
    return compile_masks([MaskProfile("own", detectors=patterns)], key=KEY)


def anchored() -> Masker:
    return compile_masks([MaskProfile("own", detectors=(DetectorMask("own", "^a+$"),))], key=KEY)


MASKERS = {
    "all": shipped,
    "kubernetes": lambda: shipped("kubernetes-secrets"),
    "credentials": lambda: shipped("credentials"),
    "own patterns": own,
    "anchored patterns": anchored,
}


@pytest.mark.parametrize("name", MASKERS)
def test_what_is_plain_is_masked_nowhere(name: str) -> None:
    masker, plain = MASKERS[name](), 0
    for text in texts(seed=len(name), count=6_000):
        if masker.is_plain(text.encode()):
            plain += 1
            assert masker.text(text).count == 0, text
    # Anchors are tried on each text by itself: no scan speaks for them.
    assert (plain > 0) == (name != "anchored patterns")


def test_most_output_is_plain() -> None:
    masker, some = shipped("kubernetes-secrets", "credentials"), random.Random(1)  # noqa: S311  # as above
    for text in ("a log line, status=200\n" * 50, some.randbytes(9_000).hex(), base64.encodebytes(bytes(300)).decode()):
        assert masker.is_plain(text.encode())


@pytest.mark.parametrize("name", [n for n, one in BUILT_IN.items() if one.probe])
def test_a_probe_finds_what_its_detector_finds(name: str) -> None:
    one = BUILT_IN[name]
    pattern, probe, found = compile_regex(one.pattern), compile_regex(one.probe), 0
    for text in texts(seed=7, count=6_000):
        if pattern.search(text.encode()) is not None:
            found += 1
            assert probe.search(text.encode()) is not None, text
    assert found or name == "putty-key"


def test_wrapped_base64_is_masked_as_if_every_piece_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    masker, some = shipped(), random.Random(11)  # noqa: S311  # as above
    short = 0
    for _ in range(1_500):
        inner = b"".join(
            some.choice((some.randbytes(some.randrange(1, 40)), AWS.encode(), b"plain ", "é漢".encode()))
            for _ in range(some.randrange(1, 8))
        )
        coded, width = base64.b64encode(inner).decode(), some.choice((16, 17, 20, 24, 76))
        lines = re.findall(f".{{1,{width}}}", coded)
        if some.random() < 0.3:
            lines.insert(some.randrange(len(lines) + 1), base64.b64encode(some.randbytes(12)).decode())
        text = some.choice(("", "x: ", "abcd")) + "\n".join(lines) + some.choice(("", "\n", "\nend"))
        made = masker._strings.mask(text)
        with monkeypatch.context() as patch:
            patch.setattr(Strings, "_holds_nothing", lambda *_: False)
            assert masker._strings.mask(text) == made, text
        short += masker._strings._holds_nothing("\n".join(lines).encode().splitlines(keepends=True), 0)
    assert short


def test_long_base64_is_masked_as_if_all_of_it_were_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    masker, some = shipped(), random.Random(12)  # noqa: S311  # as above
    said = 0
    for _ in range(60):
        parts = [some.choice((some.randbytes(900), b"plain text " * 90, "é漢".encode() * 200)) for _ in range(9)]
        token = base64.b64encode(b"".join([*parts, AWS.encode(), parts[0]])).decode() + some.choice(("", "A", "AA"))
        made = masker._strings.mask(token)
        said += strings._begins_binary(token.encode())
        with monkeypatch.context() as patch:
            patch.setattr(strings, "_begins_binary", lambda _: False)
            assert masker._strings.mask(token) == made
    assert 0 < said < 60


@pytest.mark.parametrize(
    ("raw", "broken"),
    [
        (b"text", False),
        ("é".encode(), False),
        ("é".encode()[1:] + b"a", False),
        (b"a" + "漢".encode()[:2], False),
        (b"\x80\x80\x80", False),
        (b"\x80\x80\x80\x80", True),
        (b"a\xffb", True),
        (b"\xc3a", True),
    ],
)
def test_only_what_no_neighbour_can_mend_is_broken(raw: bytes, broken: bool) -> None:
    assert strings._is_broken(raw) == broken
    neighbours = [b"", b"\xe6\xbc", b"\xc3", b"\xf0\x9f\x94", b"\xa9", b"\xbc\xa2", b"a"]
    whole = [before + raw + after for before in neighbours for after in neighbours]
    assert not broken or not any(_is_text(one) for one in whole)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
