"""Atomic replacement of output files; overwrites an existing file only on request.

Devices and pipes such as ``/dev/null`` are written directly: a rename would replace them by a file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final

from deepseek_async.errors import ConfigurationError, OutputWriteError

_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})
_MOST_LINKS: Final = 40


def check_replaceable(path: Path, *inputs: Path, force: bool = False) -> None:
    """Raise ConfigurationError if ``path`` must not be written.

    Refused are: any of the ``inputs``, under any name and also with ``force``; folders and disks; and without
    ``force``, a non-empty file or a symbolic link to one or to nothing.
    """
    try:
        status = path.stat()
    except OSError:
        status = None
    for given in inputs:
        if status is not None and _is_same(status, given):
            raise ConfigurationError(f"cannot write {path}: it is the input {given}; name another file")
    if status is not None and (stat.S_ISDIR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "disk"
        raise ConfigurationError(f"cannot write {path}: it is a {what}; name a file")
    if not force and not _is_free(path, status):
        raise ConfigurationError(
            f"cannot write {path}: it exists; name another file, or replace it with --force (force=True)"
        )


@contextmanager
def replaced(path: Path, *inputs: Path, force: bool = False) -> Iterator[IO[bytes]]:
    """Yield a file that replaces ``path`` once it is complete and on disk; for a device or pipe, the device itself.

    Raises OutputWriteError, and ConfigurationError like ``check_replaceable``.
    """
    check_replaceable(path, *inputs, force=force)
    try:
        number = _descriptor_named(path)
        if number is not None:
            # Opening a regular file through /dev/fd would truncate it.
            with os.fdopen(os.dup(number), "wb") as stream:
                yield stream
        elif _is_stream(path):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb") as stream:
                yield stream
        else:
            yield from _in_the_place_of(path, force=force)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputWriteError(f"cannot write {path}: {error.strerror}", path=str(path)) from None


def check_stream(stream: IO[bytes], *inputs: Path) -> None:
    """Raise ConfigurationError if the open ``stream`` writes to one of the ``inputs``."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return  # not backed by a descriptor
    for given in inputs:
        if stat.S_ISREG(status.st_mode) and _is_same(status, given):
            raise ConfigurationError(
                f"cannot write to standard output: it is the input {given}; redirect it to another file"
            )


def sync(file: IO[bytes]) -> None:
    """Flush and fsync ``file`` if it is a regular file. Raises OSError."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _in_the_place_of(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    temporary = None
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield file
            sync(file)
        temporary.chmod(0o600)
        _move(temporary, path, force=force)
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _move(temporary: Path, path: Path, *, force: bool) -> None:
    if not force:
        # A hard link, unlike a rename, fails if the file has been created meanwhile.
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            check_replaceable(path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            check_replaceable(path)
        else:
            return
    temporary.replace(path)


def _is_same(status: os.stat_result, given: Path) -> bool:
    try:
        return os.path.samestat(status, given.stat())
    except OSError:
        return False


def _is_free(path: Path, status: os.stat_result | None) -> bool:
    if status is None:
        return not path.is_symlink()
    if not stat.S_ISREG(status.st_mode) or _descriptor_named(path) is not None:
        return True
    return not status.st_size and not path.is_symlink()


def _is_stream(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _descriptor_named(path: Path) -> int | None:
    """Return the descriptor of this process that the path names, as ``/dev/stdout`` does, directly or through links."""
    folders = {Path("/dev/fd"), Path(f"/proc/{os.getpid()}/fd")}
    for _ in range(_MOST_LINKS):
        with suppress(OSError, RuntimeError):
            if path.name.isdecimal() and ({path.parent, path.parent.resolve()} & folders):
                return int(path.name)
        try:
            path = path.parent / path.readlink()
        except OSError:
            return None
    return None
