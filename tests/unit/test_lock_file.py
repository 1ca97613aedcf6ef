import os

import pytest

from holdpoint.lock_file import AlreadyLocked, LockFile


def test_second_owner_is_refused_by_the_process_of_the_first(tmp_path):
    first = LockFile(tmp_path / "a.lock")
    with pytest.raises(AlreadyLocked, match=f"process {os.getpid()}") as caught:
        LockFile(tmp_path / "a.lock")
    assert caught.value.owner == str(os.getpid())
    first.release()
    first.release()
    LockFile(tmp_path / "a.lock").release()


def test_lock_file_is_for_the_owner_alone_and_stays(tmp_path):
    LockFile(tmp_path / "a.lock").release()
    assert (tmp_path / "a.lock").stat().st_mode & 0o777 == 0o600


def test_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "a.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        LockFile(tmp_path / "a.lock")
    assert not (tmp_path / "elsewhere").exists()


def test_lock_whose_owner_left_no_name_is_still_refused(tmp_path):
    first = LockFile(tmp_path / "a.lock")
    (tmp_path / "a.lock").write_text("nonsense")
    with pytest.raises(AlreadyLocked, match="another process"):
        LockFile(tmp_path / "a.lock")
    first.release()
