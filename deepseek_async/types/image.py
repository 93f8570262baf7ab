"""Generated images. Names follow openai-python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.answer_part import LinkedPart
from deepseek_async.types.response import ResponseUsage
from deepseek_async.types.usage import BilledAttempt, CompletionUsage


class Image(LinkedPart):
    """One image, as a URL or as base64, depending on ``response_format``."""

    url: str | None = None
    b64_json: str | None = None
    """The image file in base64."""
    revised_prompt: str | None = None
    """The prompt as revised by the server, if it was."""


class ImagesResponse(OpenAnswer):
    """Images of one prompt; iterable."""

    created: int = 0
    """Unix time in seconds."""
    data: list[Image] = []
    usage: ResponseUsage | None = None
    """Sent by servers that bill images in tokens."""

    def __iter__(self) -> Iterator[Image]:
        return iter(self.data)

    def tokens_used(self) -> CompletionUsage | None:
        return None if self.usage is None else self.usage.in_chat_terms()

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        super().bill(attempts, total)
        self.usage = ResponseUsage.of(total)
