import pickle
from pathlib import Path

import pytest

from holdpoint.domain.refusal import ConfigError
from holdpoint.secrets import Secret, read_secret
from holdpoint.settings import SecretSource


def write(folder: Path, data: bytes) -> SecretSource:
    file = folder / "secret"
    file.write_bytes(data)
    file.chmod(0o600)
    return SecretSource(file=file)


def test_secret_is_not_shown() -> None:
    secret = Secret("hunter2")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", f"{[secret]}", "%s %r" % (secret, secret)]  # noqa: UP031
    assert "hunter2" not in "".join(shown)
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == "hunter2"


def test_secret_is_not_stored() -> None:
    with pytest.raises(TypeError, match="not stored"):
        pickle.dumps(Secret("hunter2"))


def test_secrets_compare_by_value() -> None:
    assert (Secret("a") == Secret("a"), Secret("a") == Secret("b"), Secret("a") == "a") == (True, False, False)
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        pytest.param(b"hunter2", "hunter2", id="no newline"),
        pytest.param(b"hunter2\n", "hunter2", id="newline"),
        pytest.param(b"hunter2\r\n", "hunter2", id="newline of Windows"),
        pytest.param("pässwort\n".encode(), "pässwort", id="not ASCII"),
        pytest.param(b"two words", "two words", id="blank inside"),
    ],
)
def test_newline_at_the_end_of_a_file_is_not_part_of_it(tmp_path: Path, data: bytes, secret: str) -> None:
    assert read_secret(write(tmp_path, data), {}).reveal() == secret


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"\n", "empty", id="newline alone"),
        pytest.param(b"  \n", "empty", id="blanks alone"),
        pytest.param(b"hunter2\n\n", "control character", id="two newlines"),
        pytest.param(b"a\nhunter2", "control character", id="two lines"),
        pytest.param(b"hunter2\x00", "control character", id="NUL"),
        pytest.param(b"hunter2\x7f", "control character", id="DEL"),
        pytest.param("hunter2\u0085".encode(), "control character", id="C1"),
        pytest.param(b" hunter2", "blank", id="blank before"),
        pytest.param(b"hunter2 \n", "blank", id="blank after"),
        pytest.param(b"hunter2\xff", "not UTF-8", id="bytes"),
    ],
)
def test_secret_that_is_none_is_refused_and_not_shown(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_secret(write(tmp_path, data), {})
    assert "hunter2" not in str(caught.value)


def test_secret_comes_from_the_given_environment() -> None:
    source = SecretSource(env="TOKEN")
    assert read_secret(source, {"TOKEN": "hunter2"}).reveal() == "hunter2"
    with pytest.raises(ConfigError, match="`TOKEN`: is not set"):
        read_secret(source, {})
    with pytest.raises(ConfigError, match="empty"):
        read_secret(source, {"TOKEN": ""})
    with pytest.raises(ConfigError, match="control character"):
        read_secret(source, {"TOKEN": "hunter2\n"})
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_secret(source, {"TOKEN": "hunter2\udcff"})


def test_secret_file_that_others_read_or_that_is_a_link_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, b"hunter2")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigError, match="symbolic link"):
        read_secret(SecretSource(file=tmp_path / "link"), {})
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(ConfigError, match="others can read"):
        read_secret(source, {})


@pytest.mark.parametrize("source", [SecretSource(), SecretSource(file=Path("x"), env="X")], ids=["none", "both"])
def test_secret_without_one_source_is_refused(source: SecretSource) -> None:
    with pytest.raises(ConfigError, match="exactly one"):
        read_secret(source, {"X": "hunter2"})
