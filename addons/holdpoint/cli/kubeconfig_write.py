"""Changes a kubeconfig that kubectl changes too: under its lock, whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

from holdpoint.domain.refusal import ConfigError
from holdpoint.private_files import replace_whole

_NEW = 0o600


def default_path() -> Path:
    """Return the file that kubectl would change: the first of `$KUBECONFIG`, or the one in the home folder."""
    first = next((part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part), "")
    return Path(first) if first else Path.home() / ".kube" / "config"


def change(file: Path, work: Callable[[str], str]) -> None:
    """Replace a file's text by what `work` makes of it; a file that is missing is made, 0600. Raises ConfigError.

    A symbolic link stays, what it points to is changed. The lock is client-go's: a new file `NAME.lock` beside it
    (clientcmd, `lockFile`).
    """
    real = Path(os.path.realpath(file))
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = real.with_name(f"{real.name}.lock")
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            raise ConfigError(f"`{lock}` says that kubectl is changing it now", where=str(file)) from None
        try:
            _replace(real, work)
        finally:
            lock.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot be changed: {error.strerror}", where=str(file)) from error


def _replace(file: Path, work: Callable[[str], str]) -> None:
    mode, text = _NEW, ""
    if file.exists():
        mode = file.stat().st_mode & 0o777
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError("not UTF-8", where=str(file)) from None
    replace_whole(file, work(text).encode(), mode=mode)
