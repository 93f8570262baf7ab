"""DeepSeek's limits for files, by kind, from ``file_kinds.toml``. Unknown kinds are not checked."""

from __future__ import annotations

import tomllib
from codecs import getincrementaldecoder
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import Content, FileOnDisk

DocumentPurpose = Literal["text_recognition", "rich_layout_recognition"]

PICTURE: Final = "picture"
PDF: Final = "pdf"
_RECORDING: Final = "recording"

_STARTS: Final = {
    b"%PDF": PDF,
    b"\x89PNG\r\n": PICTURE,
    b"\xff\xd8\xff": PICTURE,
    b"GIF8": PICTURE,
    b"OggS": _RECORDING,
    b"ID3": _RECORDING,
    b"fLaC": _RECORDING,
}
_RIFF: Final = {b"WEBP": PICTURE, b"WAVE": _RECORDING}
_PACKED: Final = b"PK\x03\x04"
_EPUB: Final = b"mimetypeapplication/epub+zip"
_OFFICE: Final = {b"word/document": "word", b"ppt/presentation": "powerpoint", b"xl/workbook": "table"}
"""Marker files inside Office documents."""
_LEGACY: Final = (b"\xd0\xcf\x11\xe0", b"{\\rtf")
"""Signatures of legacy Office documents, the same for Word, Excel and PowerPoint."""

_START: Final = 4_096
_DIRECTORY: Final = 65_536
"""Bytes at the end of a zip file that contain its directory."""


class FileFacts(msgspec.Struct, frozen=True):
    """File limits of DeepSeek, with source and date."""

    as_of: date
    source: str
    most_characters_of_a_name: int
    shortest_life: int
    longest_life: int
    most_pages: int
    deadline_seconds: float
    purposes: Mapping[str, list[str]]
    """Kinds allowed for each purpose."""
    most_bytes: Mapping[str, int]
    """Maximum size by kind."""

    @property
    def documents(self) -> frozenset[str]:
        """Purposes whose files are parsed, and billed, before the response."""
        return frozenset(name for name, kinds in self.purposes.items() if PDF in kinds)

    def known(self) -> str:
        """Source of the limits, for error messages."""
        return f"({self.source}, as of {self.as_of})"


@cache
def file_facts() -> FileFacts:
    """Load the limits shipped with the library."""
    written: dict[str, Any] = tomllib.loads(Path(__file__).with_name("file_kinds.toml").read_text(encoding="utf-8"))
    return msgspec.convert(written, FileFacts)


def kind_of(content: Content) -> str | None:
    """Return the kind of a file by its content; None if unknown."""
    start = content.start(_START) if isinstance(content, FileOnDisk) else content[:_START]
    for mark, kind in _STARTS.items():
        if start.startswith(mark):
            return kind
    if start.startswith(b"RIFF"):
        return _RIFF.get(start[8:12])
    if start.startswith(_PACKED):
        return _packed(start, content)
    if start[60:68] == b"BOOKMOBI":
        return "e-book"
    return "text" if not start.startswith(_LEGACY) and _is_text(start) else None


def check_file(name: str, content: Content, purpose: str, expires_after: Mapping[str, Any] | None) -> None:
    """Check a file for one of DeepSeek's ``purposes``. Raises InvalidRequestError for what it is known to refuse."""
    facts = file_facts()
    if not len(content):
        raise InvalidRequestError(f"{name} is empty")
    if len(name) > facts.most_characters_of_a_name:
        raise InvalidRequestError(
            f"file name must have at most {facts.most_characters_of_a_name} characters, got {len(name)} "
            f"{facts.known()}",
        )
    kind, kinds = kind_of(content), facts.purposes[purpose]
    if kind == _RECORDING:
        raise InvalidRequestError(f"{name} is an audio file; use client.tools.transcribe {facts.known()}")
    if kind is not None and kind not in kinds:
        fitting = " or ".join(other for other, taken in facts.purposes.items() if kind in taken)
        raise InvalidRequestError(
            f"purpose {purpose!r} allows {', '.join(kinds)}, but {name} is of kind {kind!r}: use {fitting} "
            f"{facts.known()}",
        )
    most = facts.most_bytes[kind] if kind is not None else max(facts.most_bytes[each] for each in kinds)
    if len(content) > most:
        raise InvalidRequestError(
            f"{name} has {len(content):,} bytes; at most {most:,} are allowed for kind {kind or 'file'!r} "
            f"{facts.known()}",
        )
    life = expires_after["seconds"] if expires_after else facts.longest_life
    if not facts.shortest_life <= life <= facts.longest_life:
        raise InvalidRequestError(
            f"expires_after: seconds must be {facts.shortest_life:,} to {facts.longest_life:,}, got {life:,} "
            f"{facts.known()}",
        )


def _packed(start: bytes, content: Content) -> str | None:
    if _EPUB in start:
        return "e-book"
    end = content.end(_DIRECTORY) if isinstance(content, FileOnDisk) else content[-_DIRECTORY:]
    return next((kind for name, kind in _OFFICE.items() if name in end), None)


def _is_text(start: bytes) -> bool:
    try:
        getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return b"\0" not in start
