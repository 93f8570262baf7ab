"""Lookup of the file stored by an upload whose response was lost; the service bills it anyway.

The file list is the only evidence (DeepSeek docs, File Parsing, 2026-11): same name, size and purpose, created after
the upload began, by the server's own clock. Files already returned by this client are excluded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Final
from urllib.parse import urlencode

import msgspec

from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.codec.multipart import MultipartForm
from deepseek_async.errors import APIError
from deepseek_async.resources.lost_uploads import LOOKS, SKEW
from deepseek_async.resources.route import Route, entries
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import FileList, FileObject
from deepseek_async.types.operation import Operation

_LIST: Final = Operation("files.list")
_PAGE: Final = 100
_MOST_PAGES: Final = 200
"""Twice the maximum number of files per account."""

_LAST_LOOK: Final = 5.0
"""Maximum seconds of a lookup after the call's deadline; at least one is always made."""

_CLOCKS: Final = 5.0
"""Seconds by which the clock that dates files may lag the one that dates responses."""

_RARELY: Final = 30.0
"""Seconds between lookups for a file that may still be parsed."""

_decode_file: Final = AnswerDecoder(FileObject).decode
_decode_files: Final = AnswerDecoder(FileList).decode


def looks_until(seconds: float) -> Sequence[float]:
    """Return the delays between lookups for a file that may appear within ``seconds``."""
    early = LOOKS[:5]
    return (*early, *[_RARELY] * ceil((seconds - sum(early)) / _RARELY))


class OrphanedFile:
    """Lookup of the file of one upload, created when the upload starts."""

    def __init__(self, route: Route, timeouts: Timeouts, until: float | None) -> None:
        """``until``: deadline of the whole call, in loop time."""
        self._route = route
        self._timeouts = timeouts
        self._until = until
        self._began = time.time()
        self._ticked = time.monotonic()
        self.looked_enough = False
        """Whether all lookups of the last search were made."""

    @property
    def has_time(self) -> bool:
        """Whether the call's deadline has not passed."""
        return self._until is None or asyncio.get_running_loop().time() < self._until

    async def find(self, form: MultipartForm, looks: Sequence[float]) -> FileObject | None:
        """Return the stored file of ``form``, after as many ``looks`` as time permits; None if there is none.

        Raises APIError if the last lookup failed: the result is then unknown.
        """
        failure: APIError | None = None
        self.looked_enough = False
        for index, pause in enumerate(looks):
            now = asyncio.get_running_loop().time()
            if index and self._until is not None and now + pause > self._until:
                break
            self.looked_enough = index == len(looks) - 1
            await asyncio.sleep(pause)
            try:
                found = await self._look(form)
            except APIError as error:
                if not error.retryable:
                    raise
                failure = error
            else:
                failure = None
                if found is not None:
                    return found
        if failure is not None:
            raise failure
        return None

    async def _look(self, form: MultipartForm) -> FileObject | None:
        """Search the list, newest first, back to the start of the upload."""
        asked = {"order": "desc", "limit": str(_PAGE)}
        handed_out = self._route.caller.handed_out
        for _ in range(_MOST_PAGES):
            listed, since = await self._page(asked)
            files = listed.data
            for file in files:
                same = file.filename in form.names and file.bytes == len(form.content)
                same = same and file.purpose in ("", form.fields.get("purpose", ""))
                if same and file.created_at >= since and file.id not in handed_out:
                    return file
            ascending = len(files) > 1 and files[0].created_at < files[-1].created_at
            if not files or not listed.has_more or (files[-1].created_at < since and not ascending):
                return None
            asked = {**asked, "after": files[-1].id}
        return None

    async def _page(self, asked: dict[str, str]) -> tuple[FileList, float]:
        """Return a page of files, and the earliest creation time of this upload by the server's clock."""
        call = self._route.call(_LIST, "GET", f"/files?{urlencode(asked)}", timeout=self._patience())
        listed = await self._route.answer(call, _decode_files)
        listed.data = entries(listed, _decode_file)
        headers = {} if call.response is None else call.response.headers
        return listed, self._since(headers.get("date", ""))

    def _since(self, date: str) -> float:
        try:
            now = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return self._began - SKEW
        return now - (time.monotonic() - self._ticked) - _CLOCKS

    def _patience(self) -> Timeouts:
        if self._until is None:
            return self._timeouts
        left = max(_LAST_LOOK, self._until - asyncio.get_running_loop().time())
        return msgspec.structs.replace(self._timeouts, total=left)
