"""Answers of ``client.tools.ocr`` and ``.transcribe``. Fields follow DeepSeek docs, OCR and ASR guides."""

from __future__ import annotations

from collections.abc import Iterator

from deepseek_async.types.answer_part import LinkedPart
from deepseek_async.types.fee import AUDIO_SECONDS, PAGE, PaidAnswer
from deepseek_async.types.usage import CompletionUsage

_MILLISECONDS = 1_000


class RecognizedPage(LinkedPart):
    """One page. ``text`` is the model's output; per page it contains markup such as ``<|ref|>title<|/ref|>``."""

    index: int = 0
    """Zero-based."""
    text: str = ""
    finish_reason: str | None = None
    """``length``: the page was not read completely."""

    @property
    def cut(self) -> bool:
        """Whether the page is incomplete."""
        return self.finish_reason == "length"


class RecognizedDocument(PaidAnswer):
    """Recognized text of a document; iterable by page."""

    id: str = ""
    object: str = "ocr.result"
    created: int = 0
    """Unix time in seconds."""
    purpose: str = ""
    page_count: int = 0
    pages: list[RecognizedPage] = []

    def __iter__(self) -> Iterator[RecognizedPage]:
        return iter(self.pages)

    @property
    def text(self) -> str:
        """Text of all pages, separated by form feeds."""
        return "\f".join(page.text for page in self.pages)

    @property
    def cut_pages(self) -> list[int]:
        """Indices of incomplete pages."""
        return [page.index for page in self.pages if page.cut]

    def units(self) -> dict[str, int]:
        """Internal: return the billed pages; the tokens in the answer are informational."""
        return {PAGE: max(len(self.pages), self.page_count)}


class Transcription(PaidAnswer):
    """Transcript of a recording."""

    request_id: str = ""
    text: str = ""
    duration_ms: int | None = None
    """Processed duration in milliseconds."""

    def units(self) -> dict[str, int]:
        """Internal: return the billed seconds, rounded up."""
        return {AUDIO_SECONDS: -(-max(0, self.duration_ms or 0) // _MILLISECONDS)}

    def tokens_used(self) -> CompletionUsage | None:
        """Internal: none if the server did not report the duration: then the duration of the upload is billed."""
        said = self.duration_ms is not None and self.duration_ms > 0
        return super().tokens_used() if said or self._used is not None else None
