"""A file as callers give it: a path, bytes, something open, or either with a name."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from deepseek_async.errors import InvalidRequestError
from deepseek_async.upload import Content, FileOnDisk

FileContent = bytes | BinaryIO
FileInput = str | os.PathLike[str] | FileContent | tuple[str, FileContent]


def attachment(file: FileInput, most: int | None) -> tuple[str, Content]:
    """Name and content, off the event loop. A file on disk is looked at here and read when it is sent.

    Raises InvalidRequestError for what cannot be read or has more than ``most`` bytes.
    """
    content: Content
    if isinstance(file, tuple):
        name, content = file[0], _read(file[1])
    elif isinstance(file, str | os.PathLike):
        path = Path(file)
        name, content = path.name, _at(path)
    else:
        name, content = Path(str(getattr(file, "name", "upload"))).name, _read(file)
    if most is not None and len(content) > most:
        raise InvalidRequestError(f"{name} has {len(content):,} bytes; DeepSeek takes {most:,} at most")
    return name, content


def _at(path: Path) -> Content:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        return FileOnDisk.at(path) if regular else path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"file {path} cannot be read: {error.strerror or error}") from None


def _read(content: FileContent) -> bytes:
    read = content if isinstance(content, bytes | bytearray | memoryview) else content.read()
    if isinstance(read, str):
        raise InvalidRequestError("file must be opened in binary mode ('rb')")
    return bytes(read)
