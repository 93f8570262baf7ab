"""``client.files``: upload, list, look at and delete files."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Sequence
from typing import Final

import msgspec

from deepseek_async.codec.body import AnswerDecoder
from deepseek_async.codec.multipart import Form
from deepseek_async.errors import APIError, NotFoundError
from deepseek_async.resources.attachment import FileInput, attachment
from deepseek_async.resources.connection import Connection, chosen_timeouts
from deepseek_async.resources.raw import Rawable
from deepseek_async.resources.route import Route, entries, named
from deepseek_async.resources.unanswered import LOOKS, Lookout, is_unanswered, send_again_unless_unanswered
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import FileDeleted, FileList, FileObject
from deepseek_async.types.operation import Operation

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""DeepSeek's limit on one file (DeepSeek docs, Files guide)."""

_PARSED: Final = frozenset({"text_recognition", "rich_layout_recognition"})
"""Purposes of documents, which are parsed before the answer (DeepSeek docs, File Parsing, 2026-11)."""

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
        """Upload a file. A path is read as it is sent; what else is given is held in memory meanwhile.

        - ``file``: a path, bytes, an open binary file, or ``(filename, bytes or open file)``.
        - ``purpose``: ``user_data`` for images at DeepSeek, ``fine-tune`` for training data elsewhere.

        DeepSeek sends nothing until a document is parsed, so only ``timeout.attempt`` bounds the wait. An upload whose
        answer was lost is looked for in the list before it is sent again, because it was stored and billed all the
        same; a document that may still be parsed is looked for during three minutes, and never sent again.

        Raises InvalidRequestError for a file that cannot be read, changes while it is read, or is larger than
        DeepSeek's 64 MiB, and the error
        that lost the answer, with ``may_exist`` set, where nobody could find out.
        """
        route = self._route
        filename, content = await asyncio.to_thread(attachment, file, None if route.elsewhere else MAX_FILE_BYTES)
        content_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        form = Form({"purpose": purpose}, filename, content, content_type)
        lookout, tries = Lookout(), route.connection.retry.max_attempts
        parsed = purpose in _PARSED
        for pause in LOOKS[:tries]:
            call = send_again_unless_unanswered(
                route.call(_CREATE, "POST", "/files", form=form, timeout=_patient(route, timeout)),
            )
            try:
                return await route.answer(call, _decode_file)
            except APIError as error:
                if not is_unanswered(error):
                    raise
                failure = error
            failure.may_exist = True
            sent = call.request.form or form
            found = await self._left_behind(lookout, sent, failure, timeout, LOOKS if parsed else (pause,))
            if found is not None:
                return found
            if parsed:
                break
            failure.may_exist = False
        raise failure

    async def _left_behind(
        self,
        lookout: Lookout,
        form: Form,
        failure: APIError,
        timeout: float | Timeouts | None,
        looks: Sequence[float],
    ) -> FileObject | None:
        """The file that an unanswered upload has left; None if there is none. Raises ``failure`` if nobody can tell."""

        async def newest() -> FileList:
            call = self._route.call(_LIST, "GET", "/files?order=desc&limit=100", timeout=timeout)
            files = await self._route.answer(call, _decode_files)
            files.data = entries(files, _decode_file)
            return files

        def is_it(file: FileObject) -> bool:
            return (file.filename, file.bytes) == (form.filename, len(form.content))

        try:
            return await lookout.find(newest, is_it, looks)
        except APIError:
            raise failure from None

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
        try:
            return await route.answer(
                route.call(_DELETE, "DELETE", f"/files/{named('file_id', file_id)}", timeout=timeout),
                _decode_deleted,
            )
        except NotFoundError as error:
            if error.attempts < 2:
                raise
        # The answer to the first attempt was lost; it had done what it was asked for.
        return FileDeleted(id=file_id, deleted=True)


def _patient(route: Route, timeout: float | Timeouts | None) -> float | Timeouts | None:
    """The timeouts of an upload: the server is silent until it is done with the file."""
    if isinstance(timeout, Timeouts):
        return timeout
    usual = chosen_timeouts(timeout, route.connection.timeouts)
    return msgspec.structs.replace(usual, headers=usual.attempt, idle=usual.attempt)
