"""File arguments: a path, bytes, an open file, or either with a name."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import Content, FileOnDisk

FileContent = bytes | BinaryIO | os.PathLike[str]
FileInput = str | FileContent | tuple[str, FileContent]


def attachment(file: FileInput, most: int | None = None) -> tuple[str, Content]:
    """Return name and content of ``file``; call it off the event loop.

    A file on disk, or one opened there and not yet read, is only inspected here and read when it is sent; any other
    open file is read here, from its current position.

    Raises InvalidRequestError for an unreadable file or one larger than ``most`` bytes.
    """
    content: Content
    if isinstance(file, tuple):
        if len(file) != 2 or not isinstance(file[0], str):
            raise InvalidRequestError(f"file must be (filename, content) if it is a tuple, got {len(file)} items")
        name, content = file[0], _content(file[1])
    elif isinstance(file, str):
        name, content = Path(file).name, _at(Path(file))
    elif isinstance(file, os.PathLike):
        name, content = Path(file).name, _content(file)
    else:
        name, content = Path(str(getattr(file, "name", "upload"))).name, _content(file)
    if most is not None and len(content) > most:
        raise InvalidRequestError(
            f"{name} has {len(content):,} bytes; at most {most:,} are allowed (DeepSeek docs, 2026-11)"
        )
    return name, content


def _content(content: FileContent) -> Content:
    if isinstance(content, os.PathLike):
        return _at(Path(content))
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if not hasattr(content, "read"):
        raise InvalidRequestError(
            f"file must be a path, bytes or a file opened in binary mode ('rb'), got {type(content).__name__}",
        )
    on_disk = _beginning_of(content)
    if on_disk is not None:
        return on_disk
    read = content.read()
    if isinstance(read, str):
        raise InvalidRequestError("file must be opened in binary mode ('rb'), got text mode")
    return bytes(read)


def _at(path: Path) -> Content:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        return FileOnDisk.at(path) if regular else path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"cannot read file {path}: {error.strerror or error}") from None


def _beginning_of(opened: BinaryIO) -> FileOnDisk | None:
    """Return the file on disk behind ``opened`` if it is at its start, else None."""
    try:
        if "b" not in opened.mode or "r" not in opened.mode or opened.tell():
            return None
        found = FileOnDisk.at(opened.name)
        return found if os.path.samestat(os.fstat(opened.fileno()), found.path.stat()) else None
    except (AttributeError, OSError, TypeError, ValueError, InvalidRequestError):
        return None  # in memory, a pipe, or moved
