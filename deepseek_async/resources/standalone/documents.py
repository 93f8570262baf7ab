"""What recognition takes (DeepSeek docs, OCR guide). Kinds are told by content; unknown ones are passed on. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import Content, FileOnDisk

RecognitionPurpose = Literal["text_recognition", "rich_layout_recognition"]

_SOURCE: Final = "(DeepSeek docs, OCR guide)"

MAX_BYTES: Final = 100 * 1024 * 1024
MAX_PAGES: Final = 1_000
_ONE_PAGE: Final = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"RIFF")
"""How PNG, JPEG, BMP and WebP begin, which have one page; GIF and TIFF may have several."""
_AUDIO: Final = (b"OggS", b"ID3", b"fLaC")
_LONGEST_NAME: Final = 512


def check_purpose(purpose: str) -> None:
    """Raises InvalidRequestError for a purpose that recognition does not have."""
    if purpose not in get_args(RecognitionPurpose):
        raise InvalidRequestError(
            f"purpose must be {' or '.join(get_args(RecognitionPurpose))}, not {purpose!r} {_SOURCE}",
        )


def most_pages(name: str, content: Content) -> int:
    """Pages that a document can have, which it is billed by. Raises InvalidRequestError for what is not taken."""
    start = content.start(16) if isinstance(content, FileOnDisk) else content[:16]
    if not start:
        raise InvalidRequestError(f"{name} is empty {_SOURCE}")
    if len(name) > _LONGEST_NAME:
        raise InvalidRequestError(
            f"the file's name has {len(name)} characters; {_LONGEST_NAME} are taken at most {_SOURCE}"
        )
    wave = start[:4] == b"RIFF" and start[8:12] == b"WAVE"
    if wave or start.startswith(_AUDIO):
        raise InvalidRequestError(f"{name} is a recording; client.tools.transcribe listens to those {_SOURCE}")
    return 1 if start.startswith(_ONE_PAGE) else MAX_PAGES
