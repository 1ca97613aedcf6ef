"""Every shipped detector, with what it must find and what it must leave. Every secret here is invented."""

import base64
from pathlib import Path

import pytest

from holdpoint.domain.mask import DetectorMask, MaskAction, MaskProfile
from holdpoint.domain.refusal import ConfigError
from holdpoint.masking.detectors import BUILT_IN, KUBERNETES_SECRET
from holdpoint.masking.masker import Masker, compile_masks


def detect(*names: str, action: MaskAction = MaskAction.REDACT) -> Masker:
    return compile_masks(
        [MaskProfile("p", detectors=tuple(DetectorMask(n, action=action) for n in names))], key=bytes(32)
    )


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


JWT = ".".join((b64('{"alg":"RS256","typ":"JWT"}'), b64('{"sub":"nobody"}'), "c2lnbmF0dXJl"))
JWE = ".".join((b64('{"alg":"dir","enc":"A256GCM"}'), "", "aXY", "Y2lwaGVy", "dGFn"))
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIinvented\nMORE\n-----END RSA PRIVATE KEY-----"
A20, A36, A40 = "aB3" * 7, "aB3" * 12, "aB3d" * 10

FINDS = {
    "aws-access-key-id": ["AKIAIOSFODNN7EXAMPLE", "ASIAABCDEFGHIJKLMNOP", "\\nAKIAIOSFODNN7EXAMPLE"],
    "aws-secret-key": [
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        '"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
    ],
    "aws-signed-url": [
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=" + "0a" * 32,
        "X-Amz-Security-Token=FwoGZXIvYXdzEB4aDE%2F",
    ],
    "eks-token": ["k8s-aws-v1.aHR0cHM6Ly9zdHMuZXUtd2VzdC0x"],
    "jwt": [JWT, JWE, f"x-{JWT}", f"whey-{JWT}", b64('{ "alg":"none" }') + "." + b64("{}") + "."],
    "private-key": [PEM, PEM[:60], PEM.replace("RSA ", ""), PEM.replace("\n", "\\n"), PEM.replace("RSA", "OPENSSH")],
    "age-key": ["AGE-SECRET-KEY-1" + "QZ3" * 19 + "Q"],
    "putty-key": ["PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nAAAA"],
    "github-token": ["ghp_" + A36, "gho_" + A36, "github_pat_" + A36],
    "gitlab-token": ["glpat-" + A20, "gldt-" + A20],
    "slack-token": [
        "xoxb-123456789012-abcdef",
        "xapp-1-A0123-456-abcdef",
        "https://hooks.slack.com/services/T0001/B0001/abcdefghijkl",
    ],
    "google-key": ["AIza" + "aB3_x" * 7, "ya29." + A20, "GOCSPX-" + A20],
    "stripe-key": ["sk_live_" + "aB3" * 6, "rk_test_" + "aB3" * 6, "whsec_" + "aB3d" * 6],
    "model-api-key": ["sk-ant-" + A20, "sk-proj-" + A20, "sk-" + A36, "hf_" + A36],
    "registry-token": ["npm_" + A36, "pypi-AgEIcHlwaS5vcmc" + A40, "dckr_pat_" + A20, "rubygems_" + "0a" * 24],
    "vault-token": ["hvs." + "aB3d" * 6],
    "cloud-token": [
        "dop_v1_" + "0a" * 32,
        "SG." + "aB3d" * 5 + "ab." + "aB3d" * 10 + "abc",
        "AccountKey=" + A40 + "==",
    ],
    "azure-sas": ["https://x.blob.core.windows.net/c?sv=1&sig=" + "aB3" * 12 + "%3D"],
    "bearer": ["Authorization: Bearer invented-token-0001", "bearer  AbCdEfGhIjKlMnOpQr"],
    "basic-auth": ["Authorization: Basic dXNlcjpwYXNzd29yZA=="],
    "url-password": ["postgres://app:s3cret@db:5432/x", "redis://:s3cret@cache", "https://me:a@b@host/"],
    "email": ["jane.doe+x@mail.example.co.uk", "<a_b@example.org>"],
    "card-number": [
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "378282246310005",
        "paid 4111111111111111 2026",
        "2026 4111 1111 1111 1111",
        "\\n4111111111111111",
    ],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO9386011117947"],
    "us-ssn": ["123-45-6789", "ssn:123-45-6789."],
}

LEAVES = {
    "aws-access-key-id": ["AKIAIOSFODNN7EXAMPL", "AKIA is a prefix", "AROAIOSFODNN7EXAMPLE", "akiaiosfodnn7example"],
    "aws-secret-key": [
        "aws_commit = 356a192b7913b04c54574d18c28d46e6395428ab",
        "sha1: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_secret_name = " + "aB3d" * 12,
    ],
    "aws-signed-url": [
        "https://b.s3.amazonaws.com/k?X-Amz-Expires=900&X-Amz-Date=20261121T000000Z",
        "X-Amz-Signature=",
    ],
    "eks-token": ["k8s-aws-v1.short", "k8s-aws-v2." + A20],
    "jwt": ["eyJhbGciOi.is.cut", "eyebrow.example.com", b64('{"typ":"JWT"}') + ".e30.", b64('["alg"]aaa') + ".e30."],
    "private-key": ["-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----"],
    "age-key": ["age1qz3qz3", "AGE-SECRET-KEY-1SHORT"],
    "putty-key": ["PuTTY-User-Key-File"],
    "github-token": ["ghp_short", "ghx_" + A36, "github_pat_short"],
    "gitlab-token": ["glpat-short", "glxx-" + A20],
    "slack-token": ["xoxb-short", "https://hooks.slack.com/help", "xoxo-from-me"],
    "google-key": ["AIzaShort", "ya29.", "GOCSPX-x"],
    "stripe-key": ["sk_live_short", "pk_live_" + A36],
    "model-api-key": ["sk-learn", "sk-ant-x", "hf_hub"],
    "registry-token": ["npm_config_registry", "pypi-server", "dckr_pat_x"],
    "vault-token": ["hvs.short", "hvx." + A36],
    "cloud-token": ["dop_v1_0a0a", "SG.a.b", "AccountKey=x"],
    "azure-sas": ["?sig=short", "?signature=" + A40],
    "bearer": ["bearer of good news", "Bearer authentication-required", "Bearer resource_metadata=x"],
    "basic-auth": ["basic training", "Basic realm", "basic aGVsbG8gd29ybGQ="],
    "url-password": ["https://example.com:8080/a@b", "mailto:a@b.example", "https://user@host/"],
    "email": ["user@localhost", "a @ b.example", "@mention.here", "name@1.2"],
    "card-number": [
        "4111 1111 1111 1112",
        "1795228865924096000",
        "0000 0000 0000 0000",
        "41111111111111111111111111",
        "4444444444444444",
        "411111111111",
    ],
    "iban": ["DE89 3704 0044 0532 0130 01", "AB12CDEF", "DE89370400440532013000X"],
    "us-ssn": [
        "000-45-6789",
        "666-12-3456",
        "900-12-3456",
        "123-00-6789",
        "123-45-0000",
        "1123-45-6789",
        "123-45-67890",
    ],
}


def test_every_shipped_detector_is_tried_with_hits_and_near_misses() -> None:
    assert set(FINDS) == set(LEAVES) == set(BUILT_IN)


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(n, t, id=f"{n}-{i}") for n, ts in FINDS.items() for i, t in enumerate(ts)]
)
def test_detector_finds(name: str, text: str) -> None:
    for surrounded in (text, f"before {text} after", f'x="{text}"', f"{text}\n{text}"):
        masked = detect(name).text(surrounded)
        assert masked.count >= 1
        assert "[masked]" in masked.value
        assert detect(name).text(masked.value).count == 0


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(n, t, id=f"{n}-{i}") for n, ts in LEAVES.items() for i, t in enumerate(ts)]
)
def test_detector_leaves_a_near_miss(name: str, text: str) -> None:
    assert detect(name).text(text).value == text


def test_only_the_group_named_secret_is_masked() -> None:
    assert detect("url-password").text("postgres://app:s3cret@db/x").value == "postgres://app:[masked]@db/x"
    own = DetectorMask("ticket", r"TICKET-(?P<secret>\d+)")
    assert (
        compile_masks([MaskProfile("p", detectors=(own,))], key=bytes(32)).text("see TICKET-42").value
        == "see TICKET-[masked]"
    )


def test_group_that_took_no_part_leaves_the_whole_match() -> None:
    own = DetectorMask("either", r"a(?P<secret>\d)|bb")
    assert (
        compile_masks([MaskProfile("p", detectors=(own,))], key=bytes(32)).text("a1 bb").value == "a[masked] [masked]"
    )


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("^start", id="start"),
        pytest.param("end$", id="end"),
        pytest.param(r"\Astart", id="start-of-text"),
        pytest.param(r"end\z", id="end-of-text"),
        pytest.param("(?m)^start", id="start-of-line"),
        pytest.param(r"\Qa^b\E|^start", id="quoted-run"),
        pytest.param("[$^]x|^start", id="class"),
    ],
)
def test_own_pattern_with_an_anchor_is_tried_on_every_string(pattern: str) -> None:
    masker = compile_masks([MaskProfile("p", detectors=(DetectorMask("own", pattern),))], key=bytes(32))
    assert masker.value(["zero", "start end", "other"]).count == 1


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        pytest.param(DetectorMask("nope"), "no detector is called `nope`", id="unknown"),
        pytest.param(DetectorMask("x", "(?=a)b"), "invalid perl operator", id="look-ahead"),
        pytest.param(DetectorMask("x", r"(a)\1"), "invalid escape", id="back-reference"),
        pytest.param(DetectorMask("x", "a("), "missing", id="broken"),
        pytest.param(DetectorMask("x", "a*"), "matches the empty text", id="matches-nothing"),
        pytest.param(DetectorMask("x", "a" * 5_000), "longer than", id="too-long"),
        pytest.param(DetectorMask("x", "\ud800"), "not valid Unicode", id="surrogate"),
    ],
)
def test_bad_detector_stops_the_start_and_names_the_profile(mask: DetectorMask, says: str) -> None:
    with pytest.raises(ConfigError, match=f"f.yaml:3: mask profile `p`: detector `{mask.name}`.*{says}"):
        compile_masks([MaskProfile("p", detectors=(mask,), where="f.yaml:3")], key=bytes(32))


def test_overlapping_finds_are_masked_once_by_the_stricter_action() -> None:
    masks = (
        DetectorMask("a", "abc", MaskAction.HASH),
        DetectorMask("b", "bcd"),
        DetectorMask("c", "d+e", MaskAction.HASH),
    )
    assert compile_masks([MaskProfile("p", detectors=masks)], key=bytes(32)).text("xabcddex").value == "x[masked]x"


def test_secret_of_kubernetes_is_a_detector_by_name() -> None:
    value = {"kind": "Secret", "data": {"a": "eA=="}}
    assert detect(KUBERNETES_SECRET).value(value).value == {"kind": "Secret", "data": {"a": "[masked]"}}


def test_every_detector_and_shipped_profile_is_in_the_reference() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "reference" / "masks.md").read_text()
    names = {*BUILT_IN, KUBERNETES_SECRET, *(f.stem for f in (root / "policies" / "masks").glob("*.yaml"))}
    assert {n for n in names if f"`{n}`" not in page} == set()


def test_example_of_the_how_to_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "mask-a-field.md").read_text()
    code, printed = (page.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "text"))
    exec(compile(code, "mask-a-field.md", "exec"), {})  # noqa: S102  # our own page
    assert capsys.readouterr().out.strip() == printed.strip()
