"""Answers of ``client.tools.search`` and ``.fetch``. Fields follow DeepSeek docs, Search guide."""

from __future__ import annotations

from collections.abc import Iterator

from deepseek_async.types.answer_part import LinkedPart
from deepseek_async.types.fee import FETCH, SEARCH, PaidAnswer


class SearchResult(LinkedPart):
    """One search result; undeclared fields are attributes."""

    title: str = ""
    url: str = ""
    snippet: str = ""
    """Short extract."""
    summary: str = ""
    """Longer extract."""
    content: str = ""
    """Text of the page; empty without ``need_content``."""
    rerank_score: float | None = None
    """0 to 3; 1.5 and above is a good match."""
    authority: float | None = None
    """-1 for unknown, up to 4; 3 and above is a strong source."""
    date: str | None = None
    """RFC 3339, UTC."""
    site_name: str | None = None
    site_icon: str | None = None


class SearchResults(PaidAnswer):
    """Search results; iterable."""

    results: list[SearchResult] = []

    def __iter__(self) -> Iterator[SearchResult]:
        return iter(self.results)

    def units(self) -> dict[str, int]:
        """Internal: return the billed searches: one without results is free (DeepSeek docs, Search guide)."""
        return {SEARCH: 1 if self.results else 0}


class FetchedPage(PaidAnswer):
    """Text of one page, as Markdown."""

    title: str = ""
    content: str = ""

    def units(self) -> dict[str, int]:
        """Internal: return the billed pages: one without text is free (DeepSeek docs, Search guide)."""
        return {FETCH: 1 if self.content else 0}
