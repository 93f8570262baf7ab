"""Uploaded files. Names follow openai-python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.fee import PaidAnswer
from deepseek_async.types.usage import CompletionUsage


class FileObject(PaidAnswer):
    """A file on the server. ``fees`` is what its upload was billed for: the pages of a document, as far as that is
    known, which the service does not tell.

    In a message of the user it is ``{"type": "file", "file_id": file.id}`` on chat, ``{"type": "input_file", "file_id":
    file.id}`` on responses and ``{"type": "document", "source": {"type": "file", "file_id": file.id}}`` on messages.
    The last two are not documented, and a server that does not know them answers without the document: see first
    whether the tokens of the prompt fit it.
    """

    id: str = ""
    object: str = "file"
    bytes: int = 0
    created_at: int = 0
    """Seconds since 1970."""
    filename: str = ""
    purpose: str = ""
    status: str | None = None
    """Of other servers; DeepSeek answers when it is done."""
    expires_at: int | None = None
    """Seconds since 1970; None for a file that stays."""

    def pay(self, fees: Mapping[str, int]) -> None:
        """Let its upload have cost ``fees``, so many of each kind."""
        self._used = CompletionUsage(fees=dict(fees))

    def tokens_used(self) -> CompletionUsage | None:
        """Its fees, of an upload; None for a look at what is there."""
        return self._used


class FileList(OpenAnswer):
    """The files of the account; iterate it for the files."""

    object: str = "list"
    data: list[FileObject] = []
    has_more: bool = False
    """Whether there are more after the last one: ask with ``after=`` its id."""
    first_id: str | None = None
    last_id: str | None = None

    def __iter__(self) -> Iterator[FileObject]:
        return iter(self.data)


class FileDeleted(OpenAnswer):
    """What became of a file that was to be deleted."""

    id: str = ""
    object: str = "file"
    deleted: bool = False
