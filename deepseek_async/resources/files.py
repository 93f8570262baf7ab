"""``client.files``: upload, list, look at and delete files."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from pathlib import Path
from typing import BinaryIO, Final

from deepseek_async.codec.body import AnswerDecoder
from deepseek_async.codec.multipart import Form
from deepseek_async.errors import InvalidRequestError
from deepseek_async.resources.connection import Connection
from deepseek_async.resources.raw import Rawable
from deepseek_async.resources.route import Route, entries, named
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import FileDeleted, FileList, FileObject
from deepseek_async.types.operation import Operation

FileContent = bytes | BinaryIO
FileInput = str | os.PathLike[str] | FileContent | tuple[str, FileContent]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""DeepSeek's limit on one file (DeepSeek docs, Files guide)."""

_CREATE: Final = Operation("files.create")
_LIST: Final = Operation("files.list")
_RETRIEVE: Final = Operation("files.retrieve")
_DELETE: Final = Operation("files.delete")

_decode_file: Final = AnswerDecoder(FileObject).decode
_decode_files: Final = AnswerDecoder(FileList).decode
_decode_deleted: Final = AnswerDecoder(FileDeleted).decode


class Files(Rawable):
    """``client.files``. DeepSeek takes images for ``purpose="user_data"``; 10,000 files and 25 GiB an account."""

    def __init__(self, connection: Connection) -> None:
        self._route = Route(connection, "files")

    async def create(
        self,
        *,
        file: FileInput,
        purpose: str,
        timeout: float | Timeouts | None = None,
    ) -> FileObject:
        """Upload a file; it is held in memory meanwhile.

        - ``file``: a path, bytes, an open binary file, or ``(filename, bytes or open file)``.
        - ``purpose``: ``user_data`` for images at DeepSeek, ``fine-tune`` for training data elsewhere.

        Raises InvalidRequestError for a file that cannot be read or is larger than DeepSeek's 64 MiB.
        """
        filename, content = await asyncio.to_thread(_read, file)
        route = self._route
        if len(content) > MAX_FILE_BYTES and not route.elsewhere:
            raise InvalidRequestError(f"{filename} has {len(content):,} bytes; DeepSeek takes {MAX_FILE_BYTES:,}")
        content_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        form = Form({"purpose": purpose}, filename, content, content_type)
        call = route.call(_CREATE, "POST", "/files", form=form, timeout=timeout)
        return await route.answer(call, _decode_file)

    async def list(self, *, timeout: float | Timeouts | None = None) -> FileList:
        """The files of the account."""
        route = self._route
        files = await route.answer(route.call(_LIST, "GET", "/files", timeout=timeout), _decode_files)
        files.data = entries(files, _decode_file)
        return files

    async def retrieve(self, file_id: str, *, timeout: float | Timeouts | None = None) -> FileObject:
        """What is known of one file. Raises NotFoundError if there is none of that id."""
        route = self._route
        return await route.answer(
            route.call(_RETRIEVE, "GET", f"/files/{named('file_id', file_id)}", timeout=timeout),
            _decode_file,
        )

    async def delete(self, file_id: str, *, timeout: float | Timeouts | None = None) -> FileDeleted:
        """Delete one file. Raises NotFoundError if there is none of that id."""
        route = self._route
        return await route.answer(
            route.call(_DELETE, "DELETE", f"/files/{named('file_id', file_id)}", timeout=timeout),
            _decode_deleted,
        )


def _read(file: FileInput) -> tuple[str, bytes]:
    """Name and content, off the event loop."""
    if isinstance(file, tuple):
        return file[0], _content(file[1])
    if isinstance(file, str | os.PathLike):
        path = Path(file)
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InvalidRequestError(f"file {path} cannot be read: {error.strerror or error}") from None
    return Path(str(getattr(file, "name", "upload"))).name, _content(file)


def _content(content: FileContent) -> bytes:
    read = content if isinstance(content, bytes | bytearray | memoryview) else content.read()
    if isinstance(read, str):
        raise InvalidRequestError("file must be opened in binary mode ('rb')")
    return bytes(read)
