"""An upload before it is sent: looked over, with all that is said of it and what it can cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import Content
from deepseek_async.resources.attachment import FileInput, attachment
from deepseek_async.resources.file_kinds import PDF, PICTURE, FileFacts, check_file, file_facts, kind_of
from deepseek_async.resources.pages import most_pages
from deepseek_async.transport.hosts import is_deepseeks
from deepseek_async.types import fee

_OF_OTHERS: Final = frozenset({"fine-tune", "batch", "assistants", "vision", "evals"})
"""Purposes of servers that speak OpenAI's language (OpenAI docs, files)."""


class Upload(msgspec.Struct, frozen=True):
    """A file, and what goes with it."""

    name: str
    content: Content
    fields: Mapping[str, str]
    """In the order that they are sent in: ``purpose`` stands before the file (DeepSeek docs, create-file)."""
    parsed: bool
    """Whether the service is silent until it has parsed it."""
    fees: Mapping[str, int] | None
    """What an attempt can cost at most, by kind."""
    deadline: float
    """Seconds from the beginning of an attempt to its answer, of what is parsed."""


def prepared(  # noqa: PLR0917  what a caller gives, and where it goes
    file: FileInput,
    purpose: str,
    expires_after: Mapping[str, Any] | None,
    pages: int | None,
    base_url: str,
    elsewhere: bool,
) -> Upload:
    """An upload to ``base_url``; off the event loop, because the file is looked into.

    Raises InvalidRequestError for what cannot be read, and for what DeepSeek is known to refuse.
    """
    facts = file_facts()
    _check_purpose(purpose, facts, anything=elsewhere, own=is_deepseeks(base_url))
    life = _life(expires_after)
    if pages is not None and (not isinstance(pages, int) or isinstance(pages, bool) or pages < 1):
        raise InvalidRequestError(f"pages must be a whole number of at least 1, not {pages!r}")
    name, content = attachment(file)
    if purpose in facts.purposes and not elsewhere:
        check_file(name, content, purpose, expires_after)
    parsed = purpose in facts.documents
    counted = {fee.PAGE: pages or _pages_of(content, facts)} if parsed else None
    return Upload(name, content, {"purpose": purpose, **life}, parsed, counted, facts.deadline_seconds)


def _check_purpose(purpose: str, facts: FileFacts, *, anything: bool, own: bool) -> None:
    if not isinstance(purpose, str) or not purpose:
        raise InvalidRequestError(f"purpose must be a non-empty string, not {purpose!r}")
    if anything or purpose in facts.purposes or (purpose in _OF_OTHERS and not own):
        return
    raise InvalidRequestError(f"purpose must be {' or '.join(facts.purposes)}, not {purpose!r} {facts.known()}")


def _life(expires_after: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields that say how long the file is kept."""
    if expires_after is None:
        return {}
    if not isinstance(expires_after, Mapping) or set(expires_after) != {"anchor", "seconds"}:
        raise InvalidRequestError(
            f'expires_after must be {{"anchor": "created_at", "seconds": …}}, not {expires_after!r:.200}',
        )
    anchor, seconds = expires_after["anchor"], expires_after["seconds"]
    if anchor != "created_at":
        raise InvalidRequestError(f"expires_after: anchor must be created_at, not {anchor!r:.200}")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 1:
        raise InvalidRequestError(f"expires_after: seconds must be a whole number of at least 1, not {seconds!r:.200}")
    return {"expires_after[anchor]": anchor, "expires_after[seconds]": str(seconds)}


def _pages_of(content: Content, facts: FileFacts) -> int:
    kind = kind_of(content)
    if kind == PICTURE:
        return 1
    counted = most_pages(content) if kind == PDF else None
    return counted or facts.most_pages
