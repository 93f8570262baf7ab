"""Owner-only files and folders for prompts, answers and spending; symbolic links are not followed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAME: Final = "deepseek_async"


def open_private(path: Path, flags: int) -> int:
    """Open ``path``, creating file (0600) and folder (0700). Raises OSError, also if ``path`` is a symbolic link."""
    make_private_folder(path.parent)
    try:
        return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if not path.is_symlink():
            raise
        leads = "another file" if path.exists() else "nothing"
        number, linked = error.errno, f"{path} is a symbolic link to {leads}; name the file itself"
    raise OSError(number, linked)


def reason_of(error: Exception) -> str:
    """Return the reason that a file cannot be used, without the number of an OSError."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` and its missing parents with mode 0700; the mode of an existing one is unchanged."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Folder for disposable data: ``DEEPSEEK_ASYNC_CACHE_DIR``, else ``deepseek_async`` in the platform's cache folder.

    That is ``XDG_CACHE_HOME`` or ``~/.cache``, ``~/Library/Caches`` on macOS, ``LOCALAPPDATA`` on Windows.
    Raises RuntimeError if the user has no home folder.
    """
    variables = os.environ if environment is None else environment
    if chosen := variables.get("DEEPSEEK_ASYNC_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()  # the process may change its working folder
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser() / _NAME
    if sys.platform == "win32":
        return _base("LOCALAPPDATA", "~/AppData/Local", variables) / _NAME
    return _base("XDG_CACHE_HOME", "~/.cache", variables) / _NAME


def state_folder() -> Path:
    """Folder for data that must survive a restart: ``deepseek_async`` in ``XDG_STATE_HOME``, else ``~/.local/state``.

    Raises RuntimeError if the user has no home folder.
    """
    return _base("XDG_STATE_HOME", "~/.local/state", os.environ) / _NAME


def _base(variable: str, default: str, variables: Mapping[str, str]) -> Path:
    # XDG Base Directory Specification: relative paths are ignored.
    chosen = Path(variables.get(variable) or default).expanduser()
    return chosen if chosen.is_absolute() else Path(default).expanduser()
