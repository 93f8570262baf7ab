"""Answers of ``client.tools.ocr`` and ``.transcribe``. Fields follow DeepSeek docs, OCR and ASR guides."""

from __future__ import annotations

from collections.abc import Iterator

from deepseek_async.types.fee import AUDIO_SECONDS, PAGE, PaidAnswer
from deepseek_async.types.part import LinkedPart
from deepseek_async.types.usage import CompletionUsage

_MILLISECONDS = 1_000


class RecognizedPage(LinkedPart):
    """One page. ``text`` is what the model wrote; page by page it has marks such as ``<|ref|>title<|/ref|>``."""

    index: int = 0
    """From 0."""
    text: str = ""
    finish_reason: str | None = None
    """``length``: the page has more than was read of it."""

    @property
    def cut(self) -> bool:
        """Whether the page is incomplete."""
        return self.finish_reason == "length"


class RecognizedDocument(PaidAnswer):
    """What was read of a document; iterate it for the pages."""

    id: str = ""
    object: str = "ocr.result"
    created: int = 0
    """Seconds since 1970."""
    purpose: str = ""
    page_count: int = 0
    pages: list[RecognizedPage] = []

    def __iter__(self) -> Iterator[RecognizedPage]:
        return iter(self.pages)

    @property
    def text(self) -> str:
        """All pages, with a form feed between them."""
        return "\f".join(page.text for page in self.pages)

    @property
    def cut_pages(self) -> list[int]:
        """Indexes of pages that are incomplete."""
        return [page.index for page in self.pages if page.cut]

    def units(self) -> dict[str, int]:
        """Paid by the page; the tokens that the answer names are for information."""
        return {PAGE: max(len(self.pages), self.page_count)}


class Transcription(PaidAnswer):
    """What was said in a recording."""

    request_id: str = ""
    text: str = ""
    duration_ms: int | None = None
    """How much of it was listened to."""

    def units(self) -> dict[str, int]:
        """Paid by each second that was begun."""
        return {AUDIO_SECONDS: -(-max(0, self.duration_ms or 0) // _MILLISECONDS)}

    def tokens_used(self) -> CompletionUsage | None:
        """None if the server did not say how long it was: then what was sent is what it cost."""
        said = self.duration_ms is not None and self.duration_ms > 0
        return super().tokens_used() if said or self._used is not None else None
