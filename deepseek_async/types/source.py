"""Sources of an answer: pages found, opened or cited, from any format. Pure.

In order of certainty: citations of a text block (Anthropic), ``url_citation`` annotations (OpenAI), search results,
opened pages, and lists of links beside the choices (other services). Links in the text count only if the service
searched and nothing else lists sources, as seen in August 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from deepseek_async.types.server_tools import address_of, has_steps, objects_in, step_of, without_mark

_LINK: Final = re.compile(r"\[([^\[\]]{1,300})\]\((https?://[^\s()]{1,2000})\)")
_QUOTES: Final = ("cited_text", "quote", "quoted_text", "snippet", "summary")
_WEB: Final = ("http://", "https://")
_WORDS: Final = ("citation", "search_result", "page", "source", "location", "fetch", "document", "web_")
_LISTS: Final = ("citations", "sources")


class Source(msgspec.Struct, frozen=True, gc=False):
    """A page the answer is based on."""

    url: str
    title: str | None = None
    quoted: str | None = None
    """Quoted passage; a page with several quotations appears once for each."""


def sources_in(answer: Mapping[str, Any], text: str = "") -> list[Source]:
    """Return the sources of an ``answer`` in the server's format; ``text`` is its generated text."""
    found = list(_named(answer))
    linked = (
        [Source(link[2], link[1]) for link in _LINK.finditer(text)] if found or (text and has_steps(answer)) else []
    )
    # The text may link a page that was only opened.
    titles = {source.url: source.title for source in reversed((*found, *linked)) if source.title}
    found = found or linked
    quoted = {source.url for source in found if source.quoted}
    # Deduplicated; an entry without a quotation only if the page has no other.
    return list(
        dict.fromkeys(
            Source(source.url, titles.get(source.url), source.quoted)
            for source in found
            if source.quoted or source.url not in quoted
        ),
    )


def _named(answer: Mapping[str, Any]) -> Iterator[Source]:
    for found in objects_in(answer):
        for name in _LISTS:
            links = found.get(name)
            if isinstance(links, list):
                yield from (Source(link) for link in links if _is_address(link))
        if step_of(found) == "read" and _is_address(page := address_of(found)):
            yield Source(str(page))
        url, title, kind = found.get("url"), found.get("title"), found.get("type")
        if not isinstance(url, str) or not _is_address(url):
            continue
        quote = next((found[name] for name in _QUOTES if isinstance(found.get(name), str) and found[name]), None)
        if isinstance(title, str) or quote is not None or (isinstance(kind, str) and _tells_of_a_page(kind)):
            yield Source(without_mark(url), title if isinstance(title, str) and title else None, quote)


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_WEB)


def _tells_of_a_page(kind: str) -> bool:
    return any(word in kind for word in _WORDS)
