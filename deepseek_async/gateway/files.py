"""Files of a gateway: batch inputs that callers upload, and the outputs of their batches.

Each is two files in one folder: its content, named by its id, and its record beside it. Names that callers give are
kept in the record only, so none of them ever becomes part of a path.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from deepseek_async.gateway.folder import write_whole

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
    """The files in one folder, which belongs to this process."""

    def __init__(self, folder: Path) -> None:
        """Read the records, and remove what an interrupted upload left. Raises OSError."""
        self._folder = folder
        self._records: dict[FileId, FileRecord] = {}
        for path in sorted(folder.iterdir()):
            if path.name.endswith(_UNFINISHED):
                path.unlink()
            elif path.name.endswith(_RECORD):
                with suppress(msgspec.DecodeError):
                    record = msgspec.json.decode(path.read_bytes(), type=FileRecord)
                    if path.name == record.id + _RECORD and (record.elsewhere or self.path(record.id).exists()):
                        self._records[record.id] = record

    def new_path(self) -> Path:
        """Return where to write a new file before it is ``added``."""
        return self._folder / (_new_id() + _UNFINISHED)

    def path(self, file_id: FileId) -> Path:
        """Return the content of a file whose id this store has made."""
        if not _ID.match(file_id):
            raise KeyError(file_id)
        return self._folder / file_id

    def add(self, written: Path, *, filename: str, purpose: str, owner: str, lifetime: int | None = None) -> FileRecord:
        """Take over the content at ``written``, a ``new_path`` that is complete and on disk. Raises OSError."""
        now = int(time.time())
        record = FileRecord(
            id=written.name.removesuffix(_UNFINISHED),
            bytes=written.stat().st_size,
            created_at=now,
            filename=filename,
            purpose=purpose,
            owner=owner,
            expires_at=None if lifetime is None else now + lifetime,
        )
        # The record last: content without one belongs to nobody, and is never shown.
        written.rename(self.path(record.id))
        write_whole(self._folder / (record.id + _RECORD), msgspec.json.encode(record))
        self._records[record.id] = record
        return record

    def note_elsewhere(self, record: FileRecord) -> None:
        """Remember whose a file at DeepSeek is. Raises OSError."""
        if not _FOREIGN_ID.match(record.id):
            raise ValueError(record.id)
        write_whole(self._folder / (record.id + _RECORD), msgspec.json.encode(record))
        self._records[record.id] = record

    def find(self, file_id: FileId, owner: str) -> FileRecord | None:
        """Return a file of ``owner``; None for another's, so that nobody learns that it exists."""
        record = self._records.get(file_id)
        if record is None or record.owner != owner or _is_expired(record):
            return None
        return record

    def of(self, owner: str, *, purpose: str | None = None, order: Order = "desc") -> list[FileRecord]:
        """Return the files of ``owner`` by time of creation, the newest first by default."""
        found = [
            record
            for record in self._records.values()
            if record.owner == owner and purpose in {None, record.purpose} and not _is_expired(record)
        ]
        return sorted(found, key=lambda record: (record.created_at, record.id), reverse=order == "desc")

    def remove(self, file_id: FileId) -> None:
        """Delete a file. Raises OSError."""
        record = self._records.pop(file_id)
        (self._folder / (file_id + _RECORD)).unlink(missing_ok=True)
        if not record.elsewhere:
            self.path(file_id).unlink(missing_ok=True)

    def remove_expired(self, needed: Iterable[FileId] = ()) -> None:
        """Delete files past their time, except those that a batch still ``needs``."""
        kept = set(needed)
        for record in list(self._records.values()):
            if _is_expired(record) and record.id not in kept:
                self.remove(record.id)


def _is_expired(record: FileRecord) -> bool:
    return record.expires_at is not None and record.expires_at <= time.time()


def _new_id() -> FileId:
    return f"file-{secrets.token_hex(12)}"
