"""Checks of speech requests (DeepSeek docs, TTS guide), and texts streamed to the service."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from deepseek_async.content import ContentFilter, HoldBack, Verdict
from deepseek_async.errors import InvalidRequestError

MAX_CHARACTERS: Final = 10_000
_MOST_BYTES: Final = 64 * 1024
_HTTP_FORMATS: Final = ("wav", "pcm")
_SOCKET_FORMATS: Final = ("pcm", "opus")
_CHINESE: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SOURCE: Final = "(DeepSeek docs, TTS guide)"


def billed_characters(text: str) -> int:
    """Count the billed characters of ``text``: a Chinese character counts as two."""
    return len(text) + len(_CHINESE.findall(text))


def speech_request(text: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Build the body of a speech over HTTP. Raises InvalidRequestError for what is known to be refused."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidRequestError(f"text must be a non-blank string, got {text!r:.100} {_SOURCE}")
    _check_length(billed_characters(text))
    body = {"text": text, **options}
    if len(msgspec.json.encode(body)) > _MOST_BYTES:
        raise InvalidRequestError(f"the request must have at most {_MOST_BYTES:,} bytes as JSON {_SOURCE}")
    return body


def socket_path(path: str, options: Mapping[str, Any]) -> str:
    """Return the path of a speech over a WebSocket."""
    said = {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()}
    return f"{path}?{urlencode(said)}" if said else path


def _check_length(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise InvalidRequestError(
            f"text must have at most {MAX_CHARACTERS:,} billed characters, got {characters:,}; "
            f"a Chinese character counts as two {_SOURCE}",
        )


def check_format(chosen: str | None, *, whole: bool) -> None:
    """Raise InvalidRequestError for a format unavailable over HTTP (``whole``) or over a WebSocket."""
    known, what = (_HTTP_FORMATS, "a complete text") if whole else (_SOCKET_FORMATS, "texts in pieces")
    if chosen is not None and chosen not in known:
        raise InvalidRequestError(f"format must be {' or '.join(known)} for {what}, got {chosen!r} {_SOURCE}")


class SpokenTexts:
    """Texts from the caller, each counted and filtered before it is sent. Iterated once."""

    def __init__(self, texts: AsyncIterable[str], content: ContentFilter | None) -> None:
        self._texts = texts
        self._content = content
        self.begun = False
        self.characters = 0

    async def frames(self) -> AsyncIterator[str]:
        """See ``TextFeed``. Raises InvalidRequestError for invalid or too long texts, and ContentBlockedError."""
        self.begun = True
        async for text in self._allowed():
            if text:
                self.characters += billed_characters(text)
                _check_length(self.characters)
                yield msgspec.json.encode({"event": "text", "text": text}).decode()
        if not self.characters:
            raise InvalidRequestError(f"texts must contain non-blank text {_SOURCE}")
        yield '{"event":"finish_text"}'

    async def _allowed(self) -> AsyncIterator[str]:
        content, verdict = self._content, Verdict()
        # A secret may be split over two pieces.
        hold = None if content is None else HoldBack(content, verdict, "input")
        async for text in self._texts:
            if not isinstance(text, str):
                raise InvalidRequestError(f"texts must be str, got {type(text).__name__}")
            if content is None or hold is None:
                yield text
            else:
                yield (await content.request({"text": hold.push(text)}, verdict))["text"]
        if content is not None and hold is not None:
            yield (await content.request({"text": hold.end()}, verdict))["text"]
