"""Documents as batch rows, identified by content, whatever their name or location."""

from __future__ import annotations

import stat
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.endpoints import RECOGNITION
from deepseek_async.batch.files import check_output
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.call.caller import Call
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.errors import APIError, ConfigurationError, InputFormatError, InvalidRequestError
from deepseek_async.files.upload import PIECE, FileOnDisk
from deepseek_async.resources.attachment import attachment
from deepseek_async.resources.standalone import Tools
from deepseek_async.resources.standalone.documents import MAX_BYTES, most_pages
from deepseek_async.types import RecognizedDocument

PURPOSE: Final = "purpose"


class DocumentRows:
    """Files for document recognition, as rows. Each is read once for its digest and again to be sent."""

    may_rename = True
    look_every = 1
    """Reading one may take a second."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._looked_at: dict[Path, tuple[FileOnDisk, int, bytes] | InvalidRequestError] = {}

    def __str__(self) -> str:
        first = self._files[0] if self._files else "no document"
        return str(first) if len(self._files) < 2 else f"{first} and {len(self._files) - 1:,} more"

    def check(self, defaults: Defaults, output: Path) -> None:  # noqa: ARG002  as of every origin
        """See ``Origin.check``."""
        if not self._files:
            raise ConfigurationError("files is empty: give at least one document")
        for file in self._files:
            check_output(file, output)

    def watch(self) -> Callable[[], str | None]:
        """See ``Origin.watch``: each document is checked again when it is sent."""
        return lambda: None

    def ids(self, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
        """See ``Origin.ids``: documents have no ids."""
        return ((row.line, None) for row in self.rows(defaults))

    def rows(self, defaults: Defaults, wanted: Sequence[int] | None = None) -> Iterator[Row]:
        """See ``Origin.rows``. A document that cannot be sent is a row with an error that names the file."""
        for index, file in enumerate(self._files):
            if wanted is None or (index < len(wanted) and wanted[index]):
                yield self._row(index, file, defaults.parameters.get(PURPOSE))

    def _row(self, index: int, file: Path, purpose: Any) -> Row:
        columns = {"file": str(file)}
        found = self._looked_at.get(file)
        if found is None:
            try:
                found = _looked_at(file)
            except InvalidRequestError as error:
                found = error
            self._looked_at[file] = found
        if isinstance(found, InvalidRequestError):
            # Identified by name, because its content is unknown; once repaired, it is another row.
            rest = found.message.removeprefix(file.name)  # the name alone does not locate it
            said = f"{file}: {found.message}" if rest == found.message else f"{file}{rest}"
            refused = InputFormatError(said, path=str(file), line=index + 1)
            text = said.encode("utf-8", "replace")
            return Row(index, index + 1, error=refused, text=text, columns=columns, endpoint=RECOGNITION)
        content, pages, digest = found
        body = {PURPOSE: purpose, "name": file.name, "content": content, "pages": pages}
        known = b"%b %b %b" % (RECOGNITION.url.encode(), str(purpose).encode(), digest)
        return Row(index, index + 1, body=body, text=known, columns=columns, endpoint=RECOGNITION)


class RecognitionCalls:
    """Creates and completes document recognition calls."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def call(self, body: Mapping[str, Any], *, retry: RetryPolicy, bulk: bool) -> Call:
        """See ``Calls.call``."""
        form = self._tools.ocr_form(body["name"], body["content"], body[PURPOSE])
        return self._tools.ocr_call(form, body["pages"], retry=retry, bulk=bulk)

    def complete(self, call: Call) -> Coroutine[Any, Any, RecognizedDocument]:
        """See ``Calls.complete``."""
        return self._complete(call)

    async def _complete(self, call: Call) -> RecognizedDocument:
        try:
            return await self._tools.ocr_complete(call)
        except APIError as error:
            # It may have been billed: the row fails, and is sent again only on request (redo).
            call.cut_short = call.cut_short and not error.may_exist
            raise


def _looked_at(file: Path) -> tuple[FileOnDisk, int, bytes]:
    """Return the document, its maximum page count and the digest of its content. Raises InvalidRequestError."""
    try:
        regular = stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not regular:
        raise InvalidRequestError("not a regular file: a document is read twice, for its digest and to be sent")
    name, content = attachment(file, MAX_BYTES)
    if not isinstance(content, FileOnDisk):
        raise InvalidRequestError("no longer a regular file")
    pages = most_pages(name, content)
    digest = blake2b(digest_size=16)
    for piece in content.read_pieces(PIECE):
        digest.update(piece)
    return content, pages, digest.digest()
