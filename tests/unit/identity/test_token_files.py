import fcntl
import os
import stat
from pathlib import Path

import pytest

from holdpoint.identity.errors import LoginError
from holdpoint.identity.token_files import StoredTokens, TokenFiles

TOKENS = StoredTokens("https://idp.example", "cli", "https://gw.example", "SECRET-1", 7.5, "SECRET-2", "SECRET-3")
KEY = (TOKENS.issuer, TOKENS.client_id, TOKENS.resource)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "config" / "tokens"


@pytest.fixture
def files(folder: Path) -> TokenFiles:
    return TokenFiles(folder)


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_what_was_written_is_read(files: TokenFiles):
    files.write(TOKENS)
    assert files.read(*KEY) == TOKENS
    assert files.all_of(TOKENS.issuer, TOKENS.client_id) == [TOKENS]


def test_only_the_owner_may_look(files: TokenFiles, folder: Path):
    old = os.umask(0)
    try:
        files.write(TOKENS)
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(folder).stat().st_mode) == 0o600


def test_file_name_tells_nothing(files: TokenFiles, folder: Path):
    files.write(TOKENS)
    assert "idp" not in only_file(folder).name


def test_tokens_do_not_show_when_printed():
    assert "SECRET" not in repr(TOKENS)


def test_absent_tokens_are_none(files: TokenFiles):
    assert files.read(*KEY) is None
    files.write(TOKENS)
    assert files.read(TOKENS.issuer, TOKENS.client_id, "https://other.example") is None
    assert files.all_of(TOKENS.issuer, "other") == []


def test_forgotten_tokens_are_gone(files: TokenFiles):
    files.write(TOKENS)
    files.forget(*KEY)
    files.forget(*KEY)
    assert files.read(*KEY) is None


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o701])
def test_folder_open_to_others_is_refused(files: TokenFiles, folder: Path, mode: int):
    files.write(TOKENS)
    folder.chmod(mode)
    for use in (lambda: files.read(*KEY), lambda: files.write(TOKENS), lambda: files.forget(*KEY)):
        with pytest.raises(LoginError, match="others can enter it: run `chmod 700`"):
            use()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_file_open_to_others_is_refused(files: TokenFiles, folder: Path, mode: int):
    files.write(TOKENS)
    only_file(folder).chmod(mode)
    with pytest.raises(LoginError, match="others can read or write it: run `chmod 600`"):
        files.read(*KEY)


def test_symbolic_links_are_not_followed(files: TokenFiles, folder: Path, tmp_path: Path):
    files.write(TOKENS)
    file = only_file(folder)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoginError, match="symbolic link is not followed"):
        files.read(*KEY)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(LoginError, match="symbolic link is not followed"):
        TokenFiles(link).read(*KEY)


def test_pipe_in_place_of_a_file_is_refused(files: TokenFiles, folder: Path):
    files.write(TOKENS)
    file = only_file(folder)
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(LoginError, match="not a file"):
        files.read(*KEY)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"expires_at":true}', b'{"expires_at":1}'])
def test_file_of_another_version_counts_as_none(files: TokenFiles, folder: Path, content: bytes):
    files.write(TOKENS)
    only_file(folder).write_bytes(content)
    assert files.read(*KEY) is None


def test_failed_write_leaves_what_was_there(files: TokenFiles, folder: Path, monkeypatch: pytest.MonkeyPatch):
    files.write(TOKENS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LoginError, match="No space left"):
        files.write(StoredTokens(*KEY, "other", 8.0))
    assert files.read(*KEY) == TOKENS
    assert only_file(folder)


async def test_lock_keeps_others_out(files: TokenFiles, folder: Path):
    async with files.locked():
        with (folder / "lock").open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (folder / "lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
