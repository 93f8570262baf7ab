"""A file that a command writes: it appears whole, in the place of nothing that the user did not give up.

What is no file, as ``/dev/null`` or a pipe, is written to: a rename would put a file in its place.
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

    That is one of the ``inputs``, under whatever name and also with ``force``; a folder or a disk; and without
    ``force`` a file that is there and not empty, or a symbolic link to one or to nothing.
    """
    try:
        status = path.stat()
    except OSError:
        status = None
    for given in inputs:
        if status is not None and _is_same(status, given):
            raise ConfigurationError(f"{path} is an input itself ({given}): name another file")
    if status is not None and (stat.S_ISDIR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "disk"
        raise ConfigurationError(f"{path} is a {what}: name a file")
    if not force and not _is_free(path, status):
        raise ConfigurationError(f"{path} exists: name another file, or replace it with --force (force=True)")


@contextmanager
def replaced(path: Path, *inputs: Path, force: bool = False) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` once it is whole and on disk; a device or pipe itself.

    Raises OutputWriteError, and ConfigurationError as ``check_replaceable`` does.
    """
    check_replaceable(path, *inputs, force=force)
    try:
        number = _descriptor_named(path)
        if number is not None:
            # Opened by its name, it would be written from its beginning.
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
    """Raise ConfigurationError if an open ``stream`` goes into one of the ``inputs``."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return  # none of the system's
    for given in inputs:
        if stat.S_ISREG(status.st_mode) and _is_same(status, given):
            raise ConfigurationError(f"standard output goes into an input, {given}: send it to another file")


def sync(file: IO[bytes]) -> None:
    """Make what was written durable, if it is in a file. Raises OSError."""
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
        # A link is not made over a file that has come meanwhile, as a rename would be.
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
    """The open file of this process that the name stands for, as ``/dev/stdout`` does, through links or not."""
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
