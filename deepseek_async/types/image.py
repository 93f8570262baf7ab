"""Generated images. Names follow openai-python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.part import LinkedPart
from deepseek_async.types.response import ResponseUsage
from deepseek_async.types.usage import BilledAttempt, CompletionUsage


class Image(LinkedPart):
    """One picture: an address or the file itself, as ``response_format`` asked."""

    url: str | None = None
    b64_json: str | None = None
    """The file in base64."""
    revised_prompt: str | None = None
    """The prompt as the server drew it, if it changed it."""


class ImagesResponse(OpenAnswer):
    """The pictures of one prompt; iterate it for the pictures."""

    created: int = 0
    """Seconds since 1970."""
    data: list[Image] = []
    usage: ResponseUsage | None = None
    """From servers that bill pictures as tokens."""

    def __iter__(self) -> Iterator[Image]:
        return iter(self.data)

    def tokens_used(self) -> CompletionUsage | None:
        return None if self.usage is None else self.usage.in_chat_terms()

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        super().bill(attempts, total)
        self.usage = ResponseUsage.of(total)
