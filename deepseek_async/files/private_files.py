"""Files and folders that hold prompts, answers or sums: for their owner only, never through a link."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAME: Final = "deepseek_async"


def open_private(path: Path, flags: int) -> int:
    """A descriptor of ``path``, made with mode 0600, in a folder made with 0700. Raises OSError, also for a link."""
    make_private_folder(path.parent)
    try:
        return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if not path.is_symlink():
            raise
        leads = "another file" if path.exists() else "nothing"
        number, linked = error.errno, f"{path} is a symbolic link to {leads}, which is not followed: name a file itself"
    raise OSError(number, linked)


def reason_of(error: Exception) -> str:
    """Why a file cannot be used, in words: an OSError's without its number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it with mode 0700; leaves the mode of an existing one alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """For what may be lost: ``DEEPSEEK_ASYNC_CACHE_DIR``, else ``deepseek_async`` where the platform keeps caches.

    That is ``XDG_CACHE_HOME`` or ``~/.cache``, ``~/Library/Caches`` on macOS, ``LOCALAPPDATA`` on Windows.
    Raises RuntimeError for a user without a home folder.
    """
    variables = os.environ if environment is None else environment
    if chosen := variables.get("DEEPSEEK_ASYNC_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()  # a process may move to another folder
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser() / _NAME
    if sys.platform == "win32":
        return _base("LOCALAPPDATA", "~/AppData/Local", variables) / _NAME
    return _base("XDG_CACHE_HOME", "~/.cache", variables) / _NAME


def state_folder() -> Path:
    """For what must outlive a restart: ``deepseek_async`` in ``XDG_STATE_HOME``, else in ``~/.local/state``.

    Raises RuntimeError for a user without a home folder.
    """
    return _base("XDG_STATE_HOME", "~/.local/state", os.environ) / _NAME


def _base(variable: str, default: str, variables: Mapping[str, str]) -> Path:
    # The XDG specification says that a relative path is to be ignored.
    chosen = Path(variables.get(variable) or default).expanduser()
    return chosen if chosen.is_absolute() else Path(default).expanduser()
