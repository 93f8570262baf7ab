"""``client.files``: upload, list, retrieve and delete files."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from deepseek_async.call.caller import Call
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.retry import LONGEST_WAIT
from deepseek_async.codec.answer_check import error_in
from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.codec.multipart import MultipartForm
from deepseek_async.errors import (
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    NotFoundError,
)
from deepseek_async.files.upload import UploadProgress
from deepseek_async.process.worker_threads import FILE_THREADS
from deepseek_async.resources.attachment import FileInput
from deepseek_async.resources.listing import Listing
from deepseek_async.resources.lost_uploads import LOOKS, answered_itself, may_be_done
from deepseek_async.resources.orphaned_files import OrphanedFile, looks_until
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import given
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient, chosen_timeouts
from deepseek_async.resources.route import Route, entries, named
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.resources.uploads import Upload, prepared
from deepseek_async.text.not_here import NotHere
from deepseek_async.text.quoting import quote
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import BilledAttempt, FileDeleted, FileList, FileObject
from deepseek_async.types.operation import DOCUMENT, Operation
from deepseek_async.types.usage import added

_CREATE: Final = Operation("files.create")
_LIST: Final = Operation("files.list")
_RETRIEVE: Final = Operation("files.retrieve")
_DELETE: Final = Operation("files.delete")

_decode_file: Final = AnswerDecoder(FileObject).decode
_decode_files: Final = AnswerDecoder(FileList).decode
_decode_deleted: Final = AnswerDecoder(FileDeleted).decode


class Files(RoutedResource):
    """``client.files``.

    At DeepSeek: images for ``purpose="user_data"``, and documents, which are parsed, for ``text_recognition`` and
    ``rich_layout_recognition``; 10,000 files and 25 GiB per account.
    """

    content = retrieve_content = NotHere("DeepSeek gives no file back; keep what you upload")
    wait_for_processing = NotHere("create() returns when a file has been processed")

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "files")

    @property
    def with_raw_response(self) -> RawFiles:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawFiles(self)

    @property
    def with_streaming_response(self) -> StreamedFiles:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedFiles(self)

    async def create(
        self,
        *,
        file: FileInput,
        purpose: str,
        expires_after: Mapping[str, Any] | None = None,
        pages: int | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> FileObject:
        """Upload a file.

        A path, or a file opened and not yet read, is read while it is sent; anything else is held in memory.

        - ``file``: a path, bytes, an open binary file, or ``(filename, one of these)``.
        - ``purpose``: at DeepSeek ``user_data`` for images; ``text_recognition`` for the text of a document, or
          ``rich_layout_recognition`` for its figures too, which count as images of the request. PDF, Word and
          PowerPoint up to 100 MiB, texts, tables and e-books up to 32, images up to 64. ``fine-tune`` elsewhere.
        - ``expires_after``: ``{"anchor": "created_at", "seconds": 3600}``, 3,600 to 2,592,000; default: never.
        - ``pages``: number of pages of a document. The service bills by pages (1.5 yuan per 1,000) but does not
          report them; by default those of a PDF are counted, an image has one, and any other file is reserved and
          charged as 1,000.
        - ``on_progress``: called with the bytes sent and the size of the file; restarts at 0 for a retry.

        DeepSeek sends nothing until a document is parsed, so its upload has one deadline of ten minutes, or
        ``timeout.attempt``; ``timeout`` in seconds limits the whole call. If the response to an upload is lost, the
        file is looked up in the list, because it was stored and billed anyway: a file found is returned, and only
        one that is certainly absent is sent again. Parsing may continue, so the lookup lasts ten minutes after a broken
        connection and three after a timeout, within ``timeout``; after a timeout the file is never sent again.
        Concurrent uploads of the same name and size cannot be told apart.

        Raises InvalidRequestError before anything is sent for a file known to be refused, and for one that cannot be
        read or changes while it is read; and the error that lost the response, with ``may_exist`` set if the lookup was
        inconclusive: check ``list`` before sending it again. A document whose upload failed after it was sent, timed
        out or was abandoned counts as charged.
        """
        route = self._route
        prepare = partial(prepared, file, purpose, expires_after, pages, route.caller.base_url, route.elsewhere)
        upload = await FILE_THREADS.run(prepare)
        progress = UploadProgress(on_progress)
        content_type = mimetypes.guess_type(upload.name)[0] or "application/octet-stream"
        form = await FILE_THREADS.run(
            MultipartForm(upload.fields, upload.name, upload.content, content_type, progress).marked,
        )
        return await self._sent_once(upload, form, progress, timeout)

    async def _sent_once(
        self, upload: Upload, form: MultipartForm, progress: UploadProgress, timeout: AnyTimeout | None
    ) -> FileObject:
        """Return the stored file of ``form``; retry only if the service certainly does not have it."""
        usual = chosen_timeouts(timeout, self._route.connection.timeouts)
        timeouts = _patient(usual, upload, given=timeout)
        until = None if usual.total is None else asyncio.get_running_loop().time() + usual.total
        behind = OrphanedFile(self._route, usual, until)
        lost: tuple[BilledAttempt, ...] = ()
        pauses = list(LOOKS[: self._route.connection.retry.max_attempts])
        while True:
            call = self._sending(upload, form, timeouts, until)
            try:
                made = await self._route.answer(call, partial(_decode_upload, upload.fees), _fault_of)
                return self._handed_out(made, call, lost)
            except APIError as error:
                error.billed_attempts = lost = (*lost, *error.billed_attempts)
                if not may_be_done(error, whole=progress.whole):
                    raise
                failure = error
            pause = max(pauses.pop(0), min(failure.retry_after or 0.0, LONGEST_WAIT))
            silent = upload.parsed and not answered_itself(failure)
            try:
                found = await behind.find(call.request.form or form, _looks(failure, upload, pause, silent=silent))
            except APIError:
                raise _unknown(failure) from None
            if found is not None:
                return self._handed_out(found, call, lost)
            if silent and (isinstance(failure, APITimeoutError) or not behind.looked_enough):
                raise _unknown(failure)
            if not pauses or not behind.has_time:
                raise failure
            pauses = pauses[:1] if silent else pauses

    def _sending(self, upload: Upload, form: MultipartForm, timeouts: Timeouts, until: float | None) -> Call:
        """Prepare an upload call that is retried only if the service cannot have the complete file."""
        if until is not None:
            left = until - asyncio.get_running_loop().time()
            timeouts = msgspec.structs.replace(timeouts, total=max(left, 0.001))
        call = self._route.call(
            *(DOCUMENT if upload.parsed else _CREATE, "POST", "/files"),
            form=form,
            timeout=timeouts,
            fees=upload.fees,
        )

        def is_unread(call: Attempts, failure: APIError) -> bool:
            failure.attempts = call.attempts
            late = isinstance(failure, APITimeoutError) and failure.phase != "connect"
            return not late and not may_be_done(failure, whole=call.request.handed_over)

        call.may_go_on = is_unread
        return call

    def _handed_out(self, file: FileObject, call: Call, lost: tuple[BilledAttempt, ...]) -> FileObject:
        """Return the file with the fees charged for its upload, ``lost`` attempts included."""
        used, model, at = file.tokens_used(), call.model, call.sent_at or 0.0
        if lost:
            billed = file.billed_attempts or (() if used is None else (BilledAttempt(model, used, at, None, file.id),))
            every = (*lost, *billed)
            used = added(each.usage for each in every)
            file.bill(every, used)
        rate = None if used is None else self._route.connection.prices.rate(model, at)
        if used is not None and rate is not None:
            file.fees = rate.fees_of(used)
        self._route.caller.handed_out.append(file.id)
        return file

    def list(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        purpose: str | None = None,
        timeout: AnyTimeout | None = None,
    ) -> Listing[FileList, FileObject]:
        """List the files of the account; at DeepSeek 1,000 per page, oldest first.

        Await it for one page, or iterate over the files of all pages with ``async for``. ``after``: return files after
        this id, e.g. ``last_id`` while ``has_more``; ``limit``: 1 to 1,000 per page.
        """
        asked = given({"limit": limit, "order": order, "purpose": purpose})

        def following(page: FileList) -> Coroutine[Any, Any, FileList] | None:
            last = page.last_id or (page.data[-1].id if page.data else None)
            return self._listed({**asked, "after": last}, timeout) if page.has_more and last else None

        return Listing(
            lambda: self._listed({**asked, **given({"after": after})}, timeout), lambda page: page.data, following
        )

    async def _listed(self, asked: Mapping[str, Any], timeout: AnyTimeout | None) -> FileList:
        route = self._route
        path = f"/files?{urlencode(asked)}" if asked else "/files"
        files = await route.answer(route.call(_LIST, "GET", path, timeout=timeout), _decode_files)
        files.data = entries(files, _decode_file)
        return files

    async def retrieve(self, file_id: str, *, timeout: AnyTimeout | None = None) -> FileObject:
        """Return the metadata of a file. Raises NotFoundError for an unknown id."""
        route = self._route
        return await route.answer(
            route.call(_RETRIEVE, "GET", f"/files/{named('file_id', file_id)}", timeout=timeout),
            _decode_file,
        )

    async def delete(self, file_id: str, *, timeout: AnyTimeout | None = None) -> FileDeleted:
        """Delete a file. Raises NotFoundError for an unknown id."""
        route = self._route
        try:
            return await route.answer(
                route.call(_DELETE, "DELETE", f"/files/{named('file_id', file_id)}", timeout=timeout),
                _decode_deleted,
            )
        except NotFoundError as error:
            if error.attempts < 2:
                raise
        # The first attempt deleted it; only its response was lost.
        return FileDeleted(id=file_id, deleted=True)


class RawFiles:
    """Methods of ``client.files``, returning a RawResponse."""

    def __init__(self, resource: Files) -> None:
        self.create = raw(resource, resource.create)
        self.list = raw(resource, resource.list)
        self.retrieve = raw(resource, resource.retrieve)
        self.delete = raw(resource, resource.delete)


class StreamedFiles:
    """Methods of ``client.files``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Files) -> None:
        self.create = streaming(resource, resource.create)
        self.list = streaming(resource, resource.list)
        self.retrieve = streaming(resource, resource.retrieve)
        self.delete = streaming(resource, resource.delete)


def _patient(usual: Timeouts, upload: Upload, *, given: AnyTimeout | None) -> Timeouts:
    """Return the timeouts of an upload, during which the server is silent until the file is processed."""
    attempt = usual.attempt
    if upload.parsed and not isinstance(given, Timeouts):
        attempt = min(attempt, upload.deadline)
    return usual.of_attempts(attempt)


def _looks(failure: APIError, upload: Upload, pause: float, *, silent: bool) -> Sequence[float]:
    """Return the delays before the lookups of an upload; ``silent``: the service has not reported an end.

    A file that is absent after the maximum parsing time was never parsed. After our own timeout, the service was still
    busy with it.
    """
    if silent:
        return LOOKS if isinstance(failure, APITimeoutError) else looks_until(upload.deadline)
    return (pause, *LOOKS[1:3]) if upload.parsed else (pause,)


def _unknown(failure: APIError) -> APIError:
    """Return ``failure`` marked as inconclusive: the file may have been stored."""
    failure.may_exist = True
    failure.add_note(
        "the file may have been stored: check files.list(order='desc') before you send it again",
    )
    return failure


def _decode_upload(fees: Mapping[str, int] | None, body: bytes) -> FileObject:
    file = _decode_file(body)
    if fees is not None:
        file.pay(fees)
    return file


def _fault_of(file: FileObject, headers: Mapping[str, str]) -> APIError | None:
    """Return why a 200 is not a valid answer, or None: an error object, or no file id."""
    if file.id:
        return None
    return error_in(file, headers, now=time.time()) or APIResponseValidationError(
        f"the server's answer has no id: {quote(file.encoded())}",
    )
