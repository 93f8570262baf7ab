"""Uploaded files. Names follow openai-python."""

from __future__ import annotations

from collections.abc import Iterator

from deepseek_async.types.answer import Answer


class FileObject(Answer):
    """A file on the server."""

    id: str = ""
    object: str = "file"
    bytes: int = 0
    created_at: int = 0
    """Seconds since 1970."""
    filename: str = ""
    purpose: str = ""
    status: str | None = None


class FileList(Answer):
    """The files of the account; iterate it for the files."""

    object: str = "list"
    data: list[FileObject] = []
    has_more: bool = False

    def __iter__(self) -> Iterator[FileObject]:
        return iter(self.data)


class FileDeleted(Answer):
    """What became of a file that was to be deleted."""

    id: str = ""
    object: str = "file"
    deleted: bool = False
