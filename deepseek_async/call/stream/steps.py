"""What the service does beside answering, told apart in a stream: searches, reads, reviews, withdraws. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from deepseek_async.types.server_tools import address_of, objects_in, queries_of, step_of


class Searching(msgspec.Struct, frozen=True, gc=False, tag="searching"):
    """The service searches the web for its answer. Each search is paid for."""

    queries: tuple[str, ...]
    """What for, as far as the server says it."""
    raw: Mapping[str, Any]
    """The block or item as the server sent it."""


class Reading(msgspec.Struct, frozen=True, gc=False, tag="reading"):
    """The service reads a page for its answer. Each page is paid for."""

    url: str | None
    """Which, if the server says it."""
    raw: Mapping[str, Any]
    """The block or item as the server sent it."""


class Reviewing(msgspec.Struct, frozen=True, gc=False, tag="reviewing"):
    """The text seems complete and the answer has not ended: with ``safety_check`` all of it is reviewed first.

    The service may still refuse it. No text has come for a second; if more comes, this was a pause.
    """


class TitleGiven(msgspec.Struct, frozen=True, gc=False, tag="title"):
    """The model's title for the conversation."""

    title: str


class AnswerWithdrawn(msgspec.Struct, frozen=True, gc=False, tag="withdrawn"):
    """The service refuses the answer, perhaps after all of it was shown: withdraw what was shown."""


class UnknownDelta(msgspec.Struct, frozen=True, gc=False, tag="unknown"):
    """Something that this version does not know; it is in the whole answer too."""

    raw: Mapping[str, Any]


Step = Searching | Reading | Reviewing | TitleGiven | AnswerWithdrawn | UnknownDelta


def step(block: Mapping[str, Any]) -> Searching | Reading | None:
    """The search or the reading that ``block`` stands for; None if it is neither."""
    match step_of(block):
        case "search":
            return Searching(tuple(queries_of(block)), block)
        case "read":
            return Reading(address_of(block), block)
    return None


def steps_in(value: Any) -> Iterator[Step]:
    """The searches and readings in fields that nobody declared; the fields themselves if there is neither."""
    found = [made for block in objects_in(value, into_steps=False) if (made := step(block)) is not None]
    if found:
        yield from found
    elif value:
        yield UnknownDelta(value)
