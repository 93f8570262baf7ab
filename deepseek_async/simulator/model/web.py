"""Simulated server tools: searches and pages, deterministic for a question. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepseek_async.simulator.model.seeded_random import Draw

SEARCH = "deepseek_web_search"
READ = "deepseek_read_url"
TOOLS = (SEARCH, READ)
WebShape = Literal["fields", "blocks", "links"]
SHAPES = get_args(WebShape)
OFFLINE = "offline"  # a question with this word is answered without a search: declared tools need not be used

_LINK = re.compile(r"https?://[^\s<>\"')\]]+")
_PAGES = 3


@dataclass(frozen=True, slots=True)
class Page:
    url: str
    title: str
    quote: str


@dataclass(frozen=True, slots=True)
class Step:
    """One search or one page."""

    id: str
    tool: str
    query: str  # search query, or the URL of the page
    pages: tuple[Page, ...]

    @property
    def input(self) -> dict[str, Any]:
        return {"query": self.query} if self.tool == SEARCH else {"url": self.query}


@dataclass(frozen=True, slots=True)
class Web:
    """Searches and pages of an answer, and their wire format, of which the real one is undocumented."""

    steps: tuple[Step, ...]
    shape: WebShape
    counted: bool  # whether the usage counts them

    @property
    def fees(self) -> dict[str, int]:
        searches = sum(step.tool == SEARCH for step in self.steps)
        pages = len(self.steps) - searches
        return {kind: count for kind, count in (("search", searches), ("fetch", pages)) if count}

    @property
    def cited(self) -> tuple[Page, ...]:
        """Pages that the answer cites: the first of each step, once."""
        return tuple(dict.fromkeys(step.pages[0] for step in self.steps if step.pages))


def declared(body: Any) -> list[str]:
    """Return the server tools that a request declares."""
    tools = body.get("tools") if isinstance(body, dict) else None
    if not isinstance(tools, list):
        return []
    return [tool["type"] for tool in tools if isinstance(tool, dict) and tool.get("type") in TOOLS]


def steps_for(tools: list[str], question: str, chance: Draw, *, thinking: bool, most: int) -> tuple[Step, ...]:
    """Return the model's steps: read links in the question, search, and, with thinking, read the results."""
    return tuple(_steps(tools, question, chance, thinking=thinking, most=most))


def _steps(tools: list[str], question: str, chance: Draw, *, thinking: bool, most: int) -> Iterator[Step]:
    number = f"{chance.below(1 << 40):010x}"
    links = _LINK.findall(question) if READ in tools else []
    for at, link in enumerate(links):
        yield Step(f"srvtoolu_{number}_r{at}", READ, link, (Page(link, f"Page {at}", f"What stands on page {at}."),))
    if SEARCH not in tools or links or OFFLINE in question.lower() or not question.strip():
        return
    for at in range(most if thinking else 1):
        found = _found(question, number, at)
        if at % 2:
            yield Step(f"srvtoolu_{number}_{at}", READ, found[0].url, found[:1])
        else:
            yield Step(f"srvtoolu_{number}_{at}", SEARCH, " ".join(question.split()[:8]), found)


def _found(question: str, number: str, at: int) -> tuple[Page, ...]:
    about = " ".join(question.split()[:4])
    return tuple(
        Page(f"https://example.org/{number}/{at // 2}/{rank}", f"{about} ({rank})", f"Result {rank} about {about}.")
        for rank in range(_PAGES)
    )
