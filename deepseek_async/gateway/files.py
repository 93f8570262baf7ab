"""Files of a gateway: batch inputs that callers upload, and the outputs of their batches.

Each is two files in one folder: its content, named by its id, and its record beside it. Names that callers give are
kept in the record only, so none of them ever becomes part of a path.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from deepseek_async.gateway.folder import remove_unfinished, write_whole
from deepseek_async.process.worker_threads import FILE_THREADS

FileId = str
_ID: Final = re.compile(r"file-[0-9a-f]{24}\Z")
_FOREIGN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
"""An id that DeepSeek made becomes the name of a record, so it must be able to be one."""
_RECORD: Final = ".json"
_UNFINISHED: Final = ".part"

Order = Literal["asc", "desc"]


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file besides its content."""

    id: FileId
    bytes: int
    created_at: int
    """Unix time in seconds."""
    filename: str
    purpose: str
    owner: str = ""
    """Name of the caller; empty on a gateway without keys."""
    expires_at: int | None = None
    elsewhere: bool = False
    """Whether its content is at DeepSeek: uploaded through this gateway, and kept only to know whose it is."""

    def shown(self) -> dict[str, Any]:
        """Return the ``File`` object of OpenAI's API."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
            "expires_at": self.expires_at,
        }


class FileStore:
    """The files in one folder, which belongs to this process. What waits for the disk runs in threads."""

    def __init__(self, folder: Path) -> None:
        """Read the records, and remove what an upload or a removal left that was killed. Raises OSError."""
        self._folder = folder
        self._records: dict[FileId, FileRecord] = {}
        remove_unfinished(folder)
        for path in sorted(folder.iterdir()):
            if path.name.endswith(_UNFINISHED) or (
                _ID.match(path.name) and not path.with_name(path.name + _RECORD).exists()
            ):
                path.unlink()
            elif path.name.endswith(_RECORD):
                with suppress(msgspec.DecodeError):
                    record = msgspec.json.decode(path.read_bytes(), type=FileRecord)
                    if path.name == record.id + _RECORD and (record.elsewhere or self.path(record.id).exists()):
                        self._records[record.id] = record

    def new_path(self, file_id: FileId | None = None) -> Path:
        """Return where to write a new file before it is ``added``; ``file_id`` is one of ``produced_id``."""
        return self._folder / ((file_id or _new_id()) + _UNFINISHED)

    def path(self, file_id: FileId) -> Path:
        """Return the content of a file whose id this store has made."""
        if not _ID.match(file_id):
            raise KeyError(file_id)
        return self._folder / file_id

    async def add(
        self, written: Path, *, filename: str, purpose: str, owner: str, lifetime: int | None = None
    ) -> FileRecord:
        """Take over the content at ``written``, a ``new_path`` that is complete and on disk.

        Raises OSError and OutputWriteError.
        """
        now = int(time.time())
        record = FileRecord(
            id=written.name.removesuffix(_UNFINISHED),
            bytes=0,
            created_at=now,
            filename=filename,
            purpose=purpose,
            owner=owner,
            expires_at=None if lifetime is None else now + lifetime,
        )
        return await FILE_THREADS.run(self._take, written, record)

    def _take(self, written: Path, record: FileRecord) -> FileRecord:
        record = msgspec.structs.replace(record, bytes=written.stat().st_size)
        # The record last: content without one belongs to nobody, and goes at the next start.
        written.rename(self.path(record.id))
        try:
            self._note(record)
        except BaseException:
            with suppress(OSError):
                self.path(record.id).unlink()
            raise
        return record

    def _note(self, record: FileRecord) -> None:
        write_whole(self._folder / (record.id + _RECORD), msgspec.json.encode(record))
        self._records[record.id] = record  # here, not after the wait: a caller that leaves does not end the thread

    async def note_elsewhere(self, record: FileRecord) -> None:
        """Remember whose a file at DeepSeek is. Raises OutputWriteError."""
        if not _FOREIGN_ID.match(record.id):
            raise ValueError(record.id)
        await FILE_THREADS.run(self._note, record)

    def find(self, file_id: FileId, owner: str) -> FileRecord | None:
        """Return a file of ``owner``; None for another's, so that nobody learns that it exists."""
        record = self._records.get(file_id)
        if record is None or record.owner != owner or _is_expired(record):
            return None
        return record

    def is_kept(self, file_id: FileId) -> bool:
        """Whether there is a file of this id, whoever its owner is."""
        return file_id in self._records

    def of(self, owner: str, *, purpose: str | None = None, order: Order = "desc") -> list[FileRecord]:
        """Return the files of ``owner`` by time of creation, the newest first by default."""
        found = [
            record
            for record in self._records.values()
            if record.owner == owner and purpose in {None, record.purpose} and not _is_expired(record)
        ]
        return sorted(found, key=lambda record: (record.created_at, record.id), reverse=order == "desc")

    async def remove(self, file_id: FileId) -> None:
        """Delete a file. Raises OSError."""
        await FILE_THREADS.run(self._delete, self._records.pop(file_id))

    def _delete(self, record: FileRecord) -> None:
        # The record first: a kill in between leaves content without one, never a record of nothing.
        (self._folder / (record.id + _RECORD)).unlink(missing_ok=True)
        if not record.elsewhere:
            self.path(record.id).unlink(missing_ok=True)

    async def remove_expired(self, needed: Iterable[FileId] = ()) -> None:
        """Delete files past their time, except those that a batch still ``needs``. Raises OSError."""
        kept = set(needed)
        for record in list(self._records.values()):
            if _is_expired(record) and record.id not in kept:
                await self.remove(record.id)


def produced_id(batch_id: str, kind: str) -> FileId:
    """Return the id of a file that a batch produces: the same each time, so that a second try makes no second file."""
    return f"file-{hashlib.sha256(f'{batch_id}/{kind}'.encode()).hexdigest()[:24]}"


def _is_expired(record: FileRecord) -> bool:
    return record.expires_at is not None and record.expires_at <= time.time()


def _new_id() -> FileId:
    return f"file-{secrets.token_hex(12)}"
