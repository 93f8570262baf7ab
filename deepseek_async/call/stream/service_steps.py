"""Events of a stream for the service's own actions: search, read, review, withdraw. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from deepseek_async.types.server_tools import address_of, objects_in, queries_of, step_of


class Searching(msgspec.Struct, frozen=True, gc=False, tag="searching"):
    """The service searches the web. Each search is billed."""

    queries: tuple[str, ...]
    """Search queries, if the server reports them."""
    raw: Mapping[str, Any]
    """The block or item, as sent by the server."""


class Reading(msgspec.Struct, frozen=True, gc=False, tag="reading"):
    """The service reads a page. Each page is billed."""

    url: str | None
    """URL of the page, if the server reports it."""
    raw: Mapping[str, Any]
    """The block or item, as sent by the server."""


class Reviewing(msgspec.Struct, frozen=True, gc=False, tag="reviewing"):
    """The text seems complete but the answer has not ended: with ``safety_check`` the service reviews all of it first.

    The service may still refuse it. Emitted after a second without text; more text means it was only a pause.
    """


class TitleGiven(msgspec.Struct, frozen=True, gc=False, tag="title"):
    """The model's title for the conversation."""

    title: str


class AnswerWithdrawn(msgspec.Struct, frozen=True, gc=False, tag="withdrawn"):
    """The service refuses the answer, possibly after all of it was shown: withdraw what was shown."""


class UnknownDelta(msgspec.Struct, frozen=True, gc=False, tag="unknown"):
    """Content unknown to this version; the complete answer contains it too."""

    raw: Mapping[str, Any]


Step = Searching | Reading | Reviewing | TitleGiven | AnswerWithdrawn | UnknownDelta


def step(block: Mapping[str, Any]) -> Searching | Reading | None:
    """Return the search or page read that ``block`` represents; None for other blocks."""
    match step_of(block):
        case "search":
            return Searching(tuple(queries_of(block)), block)
        case "read":
            return Reading(address_of(block), block)
    return None


def steps_in(value: Any) -> Iterator[Step]:
    """Yield the searches and page reads in undeclared fields; the fields themselves if there are none."""
    found = [made for block in objects_in(value, into_steps=False) if (made := step(block)) is not None]
    if found:
        yield from found
    elif value:
        yield UnknownDelta(value)
