from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import ENVIRON, write_gateway

from holdpoint.domain.refusal import ConfigError
from holdpoint.keys import PinnedKeys, open_console_key
from holdpoint.settings import ConsoleKey, Settings
from holdpoint.settings_file import load_settings

CLIENT = "  client_id: holdpoint-console\n"
KEY = CLIENT + "  signing: {id: console-1, file: var/keys/console.pem, create: true}\n"


def load(folder: Path, *changes: tuple[str, str], check_machine: bool = False) -> Settings:
    return load_settings(write_gateway(folder, *changes), ENVIRON, check_machine=check_machine)


def signing(settings: Settings) -> tuple[ConsoleKey, ...]:
    assert settings.console is not None
    return settings.console.signing


def test_without_a_key_nothing_has_to_be_signed(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (signing(settings), settings.reviewers.signed, settings.reviewers.confirm) == ((), False, "session")


@pytest.mark.parametrize(
    "reviewers", ["reviewers: {issuers: [corp]}\n", ""], ids=["with a section of reviewers", "without one"]
)
def test_with_a_key_approvals_have_to_be_signed(tmp_path: Path, reviewers: str) -> None:
    settings = load(tmp_path, (CLIENT, KEY), ("reviewers: {issuers: [corp]}\n", reviewers))
    (key,) = signing(settings)
    assert settings.reviewers.signed
    assert (key.id, key.create) == ("console-1", True)
    assert (key.file, key.public_file) == (tmp_path / "var/keys/console.pem", tmp_path / "var/keys/console.pub")


def test_what_is_written_counts(tmp_path: Path) -> None:
    written = "reviewers: {issuers: [corp], signed: optional, confirm: login}\n"
    settings = load(tmp_path, (CLIENT, KEY), ("reviewers: {issuers: [corp]}\n", written))
    assert (settings.reviewers.signed, settings.reviewers.confirm) == (False, "login")


def test_older_keys_stay_in_the_ring_by_their_public_half(tmp_path: Path) -> None:
    ring = (
        "  signing:\n    {id: console-2, public_file: a/console-2.pub,"
        " older: [{id: console-1, public_file: console-1.pub}]}\n"
    )
    settings = load(tmp_path, (CLIENT, CLIENT + ring))
    assert [(k.id, k.file, k.public_file) for k in signing(settings)] == [
        ("console-2", None, tmp_path / "a/console-2.pub"),
        ("console-1", None, tmp_path / "console-1.pub"),
    ]


WRONG = [
    pytest.param("{id: k}", "by `file`", id="neither half"),
    pytest.param("{id: k, file: k.pem, public_file: k.pub}", "by `file`", id="both halves"),
    pytest.param("{id: k, file: k.pub}", "signs", id="a public half that should sign"),
    pytest.param("{id: k, public_file: k.pub, create: true}", "private half", id="making what is elsewhere"),
    pytest.param("{id: k, file: k.pem, older: [{id: k, public_file: o.pub}]}", "twice", id="one id for two"),
    pytest.param("{id: k, file: k.pem, older: [{id: o, public_file: k.pub}]}", "one file", id="one file for two"),
    pytest.param("{id: k, file: var/recordings/k.pem}", "recordings are exported", id="among the recordings"),
    pytest.param("{id: k, file: var/keys/audit-2.pem}", "files of their own", id="the key of the audit"),
]


@pytest.mark.parametrize(("ring", "message"), WRONG)
def test_a_key_that_could_not_be_kept_apart_is_refused(tmp_path: Path, ring: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, (CLIENT, f"{CLIENT}  signing: {ring}\n"))


def test_the_gateway_does_not_start_without_a_key_that_nobody_makes(tmp_path: Path) -> None:
    written = CLIENT + "  signing: {id: console-1, file: var/keys/console.pem}\n"
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path, (CLIENT, written), check_machine=True)


@pytest.mark.failure("F-evidence-key")
def test_the_console_makes_its_key_private_and_the_gateway_finds_it_later(tmp_path: Path) -> None:
    key = ConsoleKey("c", tmp_path / "keys/c.pub", tmp_path / "keys/c.pem", create=True)
    pinned = PinnedKeys((key,))
    assert dict(pinned) == {}
    signer = open_console_key(key)
    assert signer is not None
    pinned["c"].verify(signer.sign(b"words"), b"words")
    assert (tmp_path / "keys/c.pem").stat().st_mode & 0o777 == 0o600
    assert list(pinned) == ["c"]


def test_the_gateway_does_without_the_public_file(tmp_path: Path) -> None:
    key = ConsoleKey("c", tmp_path / "keys/c.pub", tmp_path / "keys/c.pem", create=True)
    signer = open_console_key(key)
    assert signer is not None
    (tmp_path / "keys/c.pub").unlink()
    assert PinnedKeys((key,))["c"] == signer.public


def test_a_key_that_was_read_stays_when_its_file_is_replaced(tmp_path: Path) -> None:
    key = ConsoleKey("c", tmp_path / "keys/c.pub", tmp_path / "keys/c.pem", create=True)
    signer = open_console_key(key)
    assert signer is not None
    pinned = PinnedKeys((key,))
    (tmp_path / "keys/c.pem").unlink()
    (tmp_path / "keys/c.pub").unlink()
    assert open_console_key(key) is not None
    assert pinned["c"] == signer.public


@pytest.mark.failure("F-evidence-key")
def test_a_lost_private_half_is_not_made_anew(tmp_path: Path) -> None:
    key = ConsoleKey("c", tmp_path / "keys/c.pub", tmp_path / "keys/c.pem", create=True)
    open_console_key(key)
    (tmp_path / "keys/c.pem").unlink()
    with pytest.raises(ConfigError, match="private key is missing"):
        open_console_key(key)


def test_a_machine_with_the_public_half_alone_signs_nothing(tmp_path: Path) -> None:
    assert open_console_key(ConsoleKey("c", tmp_path / "c.pub")) is None
