"""What may be read aloud (DeepSeek docs, TTS guide), and texts that come piece by piece."""

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
    """Characters of ``text`` as they are billed: a Chinese one counts as two."""
    return len(text) + len(_CHINESE.findall(text))


def speech_request(text: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a speech over HTTP. Raises InvalidRequestError for what is known to be refused."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidRequestError(f"text must say something, not {text!r:.100} {_SOURCE}")
    _check_length(billed_characters(text))
    body = {"text": text, **options}
    if len(msgspec.json.encode(body)) > _MOST_BYTES:
        raise InvalidRequestError(f"the request has more than {_MOST_BYTES:,} bytes as JSON {_SOURCE}")
    return body


def socket_path(path: str, options: Mapping[str, Any]) -> str:
    """Where a speech over a WebSocket is asked for."""
    said = {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()}
    return f"{path}?{urlencode(said)}" if said else path


def _check_length(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise InvalidRequestError(
            f"the text has {characters:,} billed characters, of which a Chinese one counts as two; "
            f"{MAX_CHARACTERS:,} are taken {_SOURCE}",
        )


def check_format(chosen: str | None, *, whole: bool) -> None:
    """Raises InvalidRequestError for a format that a ``whole`` text, or one in pieces, is not spoken in."""
    known, what = (_HTTP_FORMATS, "a text as a whole") if whole else (_SOCKET_FORMATS, "texts in pieces")
    if chosen is not None and chosen not in known:
        raise InvalidRequestError(f"format must be {' or '.join(known)} for {what}, not {chosen!r} {_SOURCE}")


class SpokenTexts:
    """Texts as a caller gives them, each counted and looked over before it goes out. They are asked for once."""

    def __init__(self, texts: AsyncIterable[str], content: ContentFilter | None) -> None:
        self._texts = texts
        self._content = content
        self.begun = False
        self.characters = 0

    async def frames(self) -> AsyncIterator[str]:
        """See ``TextFeed``. Raises InvalidRequestError for what is no text or too much, and ContentBlockedError."""
        self.begun = True
        async for text in self._allowed():
            if text:
                self.characters += billed_characters(text)
                _check_length(self.characters)
                yield msgspec.json.encode({"event": "text", "text": text}).decode()
        if not self.characters:
            raise InvalidRequestError(f"the texts must say something {_SOURCE}")
        yield '{"event":"finish_text"}'

    async def _allowed(self) -> AsyncIterator[str]:
        content, verdict = self._content, Verdict()
        # A secret may begin in one piece and end in the next.
        hold = None if content is None else HoldBack(content, verdict, "input")
        async for text in self._texts:
            if not isinstance(text, str):
                raise InvalidRequestError(f"texts must be str, not {type(text).__name__}")
            if content is None or hold is None:
                yield text
            else:
                yield (await content.request({"text": hold.push(text)}, verdict))["text"]
        if content is not None and hold is not None:
            yield (await content.request({"text": hold.end()}, verdict))["text"]
