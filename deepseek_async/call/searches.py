"""Web search and page fees: the maximum for a request, and the count in an answer. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deepseek_async.call.answer_text import text_of
from deepseek_async.types import Answer, CompletionUsage
from deepseek_async.types.answer_part import whole_number
from deepseek_async.types.fee import FETCH, SEARCH
from deepseek_async.types.operation import effort_of
from deepseek_async.types.server_tools import WEB_TOOLS, queries_of, step_of

_WHILE_THINKING: Final = 20
"""Searches and pages of a thinking request. DeepSeek documents no limit; third parties observed about this many."""
_AT_ONCE: Final = 5
"""The same without thinking: the ``max_uses`` of DeepSeek's own harness."""

_CLASSIC: Final = ("web_search", "web_fetch")
"""Type prefixes of Anthropic's and OpenAI's built-in tools, which the service has run too."""
_READING: Final = ("read_url", "fetch")
_PAGES: Final = ("fetch", "read_url", "page", "url")
"""Name parts of page counters; counters of searches contain "search"."""
_ANSWERED: Final = ("choices", "output", "content")
"""Fields that list the steps in a chat completion, a response and a message."""
_THE_CALLERS: Final = frozenset({"function", "function_call", "tool_use"})
_DEEPEST: Final = 32

UNCOUNTED: Final = "the server did not report its searches: counted at the most it can have made"
"""``corrected`` of a usage whose fees could not be read."""


def most_fees(request: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the maximum fees of an answer to ``request``, by kind; None if it declares no web tool.

    Pages opened during a search are counted as searches, which cost the same.
    """
    tools = request.get("tools")
    kinds = [tool.get("type") for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list | tuple) else []
    paid = [kind for kind in kinds if isinstance(kind, str) and (kind in WEB_TOOLS or kind.startswith(_CLASSIC))]
    if not paid:
        return None
    steps = _AT_ONCE if effort_of(request) == "none" else _WHILE_THINKING
    reads = any(word in kind for kind in paid for word in _READING)
    links = _links_asked(request) if reads else 0
    if all(any(word in kind for word in _READING) for kind in paid):
        return {FETCH: max(steps, links)}
    return {SEARCH: steps, FETCH: links} if links else {SEARCH: steps}


def _links_asked(request: Mapping[str, Any]) -> int:
    """Count the URLs in the last user message: the service reads those."""
    turns = request.get("messages") or request.get("input")
    if isinstance(turns, list | tuple):
        users = (turn for turn in reversed(turns) if isinstance(turn, Mapping) and turn.get("role") == "user")
        turns = next(users, {}).get("content")
    return str(turns).count("://")


def with_searches(usage: CompletionUsage, answer: Answer, most: Mapping[str, int]) -> CompletionUsage:
    """Return ``usage`` with the searches and pages of ``answer``: by its counters, else by its blocks.

    Without either, an answer that contains links or was refused is counted at ``most`` and marked as corrected.
    """
    told = _told(usage.counters())
    done = Counter[str]() if len(told) == 2 else Counter(_steps_in(answer.to_dict()))
    counted = {kind: count for kind in (SEARCH, FETCH) if (count := told.get(kind, done[kind]))}
    if not counted and not told and ("://" in (text_of(answer) or "") or getattr(answer, "refused", False)):
        counted = dict(most)
        usage.corrected = usage.corrected or UNCOUNTED
    usage.fees = counted or None
    return usage


def _told(counters: Mapping[str, Any]) -> Counter[str]:
    """Count searches and pages by the server's counters, under any name (e.g. ``web_search_requests``)."""
    told: Counter[str] = Counter()
    for name, value in counters.items():
        if isinstance(value, Mapping):
            told.update(_told(value))
        elif "token" not in name and "result" not in name and (count := whole_number(value)) is not None and count >= 0:
            if "search" in name:
                told[SEARCH] += count
            elif any(word in name for word in _PAGES):
                told[FETCH] += count
    return told


def _steps_in(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield the kind of fee of each search and page, once per step."""
    known: set[str] = set()
    for place in _ANSWERED:
        for block, kind in _steps(said.get(place), 0):
            name = block.get("id")
            if isinstance(name, str) and name:
                if name in known:
                    continue
                known.add(name)
            yield from [kind] * (max(1, len(queries_of(block))) if kind == SEARCH else 1)


def _steps(value: Any, depth: int) -> Iterator[tuple[Mapping[str, Any], str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _steps(item, depth + 1)
    elif isinstance(value, Mapping):
        kind = value.get("type")
        step = step_of(value)
        if step is not None:
            yield value, SEARCH if step == "search" else FETCH
        elif kind not in _THE_CALLERS and not (isinstance(kind, str) and "result" in kind):
            # Arguments of the caller's own functions, and search results, are not steps.
            for item in value.values():
                yield from _steps(item, depth + 1)
