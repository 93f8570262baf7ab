"""Uploaded files. Names follow openai-python."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.fee import PaidAnswer
from deepseek_async.types.page import Page
from deepseek_async.types.unsent import Unsent
from deepseek_async.types.usage import CompletionUsage


class FileObject(PaidAnswer):
    """A file on the server.

    ``fees`` are those of its upload: the pages of a document, as far as known, because the service does not report
    them.

    In a user message it is ``{"type": "file", "file_id": file.id}`` for chat, ``{"type": "input_file", "file_id":
    file.id}`` for responses and ``{"type": "document", "source": {"type": "file", "file_id": file.id}}`` for messages.
    The last two are undocumented, and a server without support answers as if there were no document: check first that
    the prompt tokens match.
    """

    id: str = ""
    object: str = "file"
    bytes: int = 0
    created_at: int = 0
    """Unix time in seconds."""
    filename: str = ""
    purpose: str = ""
    status: str | None = None
    """Sent by other servers; DeepSeek responds only when processing is complete."""
    expires_at: int | None = None
    """Unix time in seconds; None for a file without expiry."""

    status_details = Unsent()

    def pay(self, fees: Mapping[str, int]) -> None:
        """Internal: set the ``fees`` of its upload, a count per kind."""
        self._used = CompletionUsage(fees=dict(fees))

    def tokens_used(self) -> CompletionUsage | None:
        """Internal: return the fees of an upload; None for a GET."""
        return self._used


class FileList(Page, OpenAnswer):
    """Files of the account; iterable."""

    object: str = "list"
    data: list[FileObject] = []
    has_more: bool = False
    """Whether there are more files: pass the last id as ``after=``."""
    first_id: str | None = None
    last_id: str | None = None

    def __iter__(self) -> Iterator[FileObject]:
        return iter(self.data)

    async def __aiter__(self) -> AsyncIterator[FileObject]:
        for entry in self.data:
            yield entry


class FileDeleted(OpenAnswer):
    """Result of a deletion."""

    id: str = ""
    object: str = "file"
    deleted: bool = False
