"""Checks of documents for OCR (DeepSeek docs, OCR guide). Kind by content; unknown kinds are not checked. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import Content, FileOnDisk

RecognitionPurpose = Literal["text_recognition", "rich_layout_recognition"]

_SOURCE: Final = "(DeepSeek docs, OCR guide)"

MAX_BYTES: Final = 100 * 1024 * 1024
MAX_PAGES: Final = 1_000
_ONE_PAGE: Final = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"RIFF")
"""Signatures of PNG, JPEG, BMP and WebP, which have one page; GIF and TIFF may have several."""
_AUDIO: Final = (b"OggS", b"ID3", b"fLaC")
_LONGEST_NAME: Final = 512


def check_purpose(purpose: str) -> None:
    """Raise InvalidRequestError for an unknown OCR purpose."""
    if purpose not in get_args(RecognitionPurpose):
        raise InvalidRequestError(
            f"purpose must be {' or '.join(get_args(RecognitionPurpose))}, got {purpose!r} {_SOURCE}",
        )


def most_pages(name: str, content: Content) -> int:
    """Return the maximum billed pages of a document. Raises InvalidRequestError for one that is refused."""
    start = content.start(16) if isinstance(content, FileOnDisk) else content[:16]
    if not start:
        raise InvalidRequestError(f"{name} is empty {_SOURCE}")
    if len(name) > _LONGEST_NAME:
        raise InvalidRequestError(f"file name must have at most {_LONGEST_NAME} characters, got {len(name)} {_SOURCE}")
    wave = start[:4] == b"RIFF" and start[8:12] == b"WAVE"
    if wave or start.startswith(_AUDIO):
        raise InvalidRequestError(f"{name} is an audio file; use client.tools.transcribe {_SOURCE}")
    return 1 if start.startswith(_ONE_PAGE) else MAX_PAGES
