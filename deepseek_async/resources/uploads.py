"""Preparation of an upload: checks, form fields, maximum fees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import Content
from deepseek_async.resources.attachment import FileInput, attachment
from deepseek_async.resources.file_kinds import PDF, PICTURE, FileFacts, check_file, file_facts, kind_of
from deepseek_async.resources.pdf_pages import most_pages
from deepseek_async.transport.hosts import is_deepseeks
from deepseek_async.types import fee

_OF_OTHERS: Final = frozenset({"fine-tune", "batch", "assistants", "vision", "evals"})
"""Purposes of OpenAI-compatible servers (OpenAI docs, files)."""


class Upload(msgspec.Struct, frozen=True):
    """A file with its form fields and cost."""

    name: str
    content: Content
    fields: Mapping[str, str]
    """In the order of sending: ``purpose`` precedes the file (DeepSeek docs, create-file)."""
    parsed: bool
    """Whether the service parses the file, and is silent meanwhile."""
    fees: Mapping[str, int] | None
    """Maximum fees of an attempt, by kind."""
    deadline: float
    """Seconds from the start of an attempt to its response, for files that are parsed."""


def prepared(  # noqa: PLR0917  arguments of the caller, and the destination
    file: FileInput,
    purpose: str,
    expires_after: Mapping[str, Any] | None,
    pages: int | None,
    base_url: str,
    elsewhere: bool,
) -> Upload:
    """Prepare an upload to ``base_url``; call it off the event loop, because it reads the file.

    Raises InvalidRequestError for an unreadable file, and for one that DeepSeek is known to refuse.
    """
    facts = file_facts()
    _check_purpose(purpose, facts, anything=elsewhere, own=is_deepseeks(base_url))
    life = _life(expires_after)
    if pages is not None and (not isinstance(pages, int) or isinstance(pages, bool) or pages < 1):
        raise InvalidRequestError(f"pages must be an integer of at least 1, got {pages!r}")
    name, content = attachment(file)
    if purpose in facts.purposes and not elsewhere:
        check_file(name, content, purpose, expires_after)
    parsed = purpose in facts.documents
    counted = {fee.PAGE: pages or _pages_of(content, facts)} if parsed else None
    return Upload(name, content, {"purpose": purpose, **life}, parsed, counted, facts.deadline_seconds)


def _check_purpose(purpose: str, facts: FileFacts, *, anything: bool, own: bool) -> None:
    if not isinstance(purpose, str) or not purpose:
        raise InvalidRequestError(f"purpose must be a non-empty string, got {purpose!r}")
    if anything or purpose in facts.purposes or (purpose in _OF_OTHERS and not own):
        return
    raise InvalidRequestError(f"purpose must be {' or '.join(facts.purposes)}, got {purpose!r} {facts.known()}")


def _life(expires_after: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the form fields of the file's expiry."""
    if expires_after is None:
        return {}
    if not isinstance(expires_after, Mapping) or set(expires_after) != {"anchor", "seconds"}:
        raise InvalidRequestError(
            f'expires_after must be {{"anchor": "created_at", "seconds": …}}, got {expires_after!r:.200}',
        )
    anchor, seconds = expires_after["anchor"], expires_after["seconds"]
    if anchor != "created_at":
        raise InvalidRequestError(f"expires_after: anchor must be created_at, got {anchor!r:.200}")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 1:
        raise InvalidRequestError(f"expires_after: seconds must be an integer of at least 1, got {seconds!r:.200}")
    return {"expires_after[anchor]": anchor, "expires_after[seconds]": str(seconds)}


def _pages_of(content: Content, facts: FileFacts) -> int:
    kind = kind_of(content)
    if kind == PICTURE:
        return 1
    counted = most_pages(content) if kind == PDF else None
    return counted or facts.most_pages
