"""Searches and pages in an answer, in each wire format. Pure.

The real formats are undocumented. `blocks` are those of Anthropic's format, inside the content; `fields` puts them
next to a text content, with OpenAI's annotations, where the format has no blocks; `links` has only links in the
text (August 2026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepseek_async.simulator.model.answer import GeneratedAnswer
    from deepseek_async.simulator.model.web import Page, Step, Web


def blocks_of(step: Step) -> list[dict[str, Any]]:
    """Return a step and its result as Anthropic blocks."""
    results = [
        {"type": "web_search_result", "url": page.url, "title": page.title, "page_age": None} for page in step.pages
    ]
    return [
        {"type": "server_tool_use", "id": step.id, "name": step.tool, "input": step.input},
        {"type": "web_search_tool_result", "tool_use_id": step.id, "content": results},
    ]


def links_of(web: Web) -> tuple[str, ...]:
    """Return the links to append to the text with the shape "links"."""
    return tuple(f" [{page.title}]({page.url})" for page in web.cited) if web.shape == "links" else ()


def in_message(answer: GeneratedAnswer, web: Web) -> dict[str, Any]:
    """Return the additional fields of a chat message."""
    blocks = [block for step in web.steps for block in blocks_of(step)]
    text = "".join(answer.content)
    if web.shape == "blocks":
        cited = [{"type": "text", "text": text, "citations": quotations(web)}] if text else []
        return {"content": [*blocks, *cited]}
    return {"server_tools": blocks, "annotations": citations(web, nested=True)} if web.shape == "fields" else {}


def deltas(web: Web) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the deltas of a streamed message before its text, and after it."""
    blocks = [block for step in web.steps for block in blocks_of(step)]
    if web.shape == "blocks":
        return (
            [{"content": [block]} for block in blocks],
            [{"content": [{"type": "text", "text": "", "citations": quotations(web)}]}],
        )
    if web.shape == "fields":
        return [{"server_tools": [block]} for block in blocks], [{"annotations": citations(web, nested=True)}]
    return [], []


def items(web: Web, number: str) -> list[dict[str, Any]]:
    """Return the items of a response before its text."""
    if web.shape == "blocks":
        blocks = [block for step in web.steps for block in blocks_of(step)]
        return [{"id": f"{block['type']}_{at}_{number}", **block} for at, block in enumerate(blocks)]
    return [
        {"type": "web_search_call", "id": f"ws_{at:02d}_{number}", "status": "completed", "action": _action(step)}
        for at, step in enumerate(web.steps)
    ]


def citations(web: Web, *, nested: bool) -> list[dict[str, Any]]:
    """Return OpenAI citations: nested for chat, flat for responses."""
    cited = [_annotation(page) for page in web.cited]
    return [{"type": "url_citation", **({"url_citation": one} if nested else one)} for one in cited]


def counters(web: Web) -> dict[str, Any]:
    """Return the additional usage counters."""
    counts = {"search": "web_search_requests", "fetch": "web_fetch_requests"}
    return {"server_tool_use": {counts[kind]: count for kind, count in web.fees.items()}}


def _annotation(page: Page) -> dict[str, Any]:
    return {"url": page.url, "title": page.title, "content": page.quote, "start_index": 0, "end_index": 0}


def _action(step: Step) -> dict[str, Any]:
    if "url" in step.input:
        return {"type": "open_page", "url": f"{step.query}#ws_call_id={step.id}"}
    return {"type": "search", "queries": [step.query]}


def quotations(web: Web) -> list[dict[str, Any]]:
    """Return Anthropic citations of a text."""
    return [
        {"type": "web_search_result_location", "url": page.url, "title": page.title, "cited_text": page.quote}
        for page in web.cited
    ]
