"""Checks of search and fetch requests. Pure; unknown parameters are not checked, because the API may grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from deepseek_async.errors import InvalidRequestError

_MOST_CHARACTERS: Final = 128
_MOST_RESULTS: Final = 50
_MOST_OF_A_URL: Final = 8_192
_SOURCE: Final = "(DeepSeek docs, Search guide)"


def search_request(
    query: str, ori_question: str | None, count: int | None, further: Mapping[str, Any]
) -> dict[str, Any]:
    """Build the body of a search. Raises InvalidRequestError for what is known to be refused."""
    body: dict[str, Any] = {"query": _question("query", query)}
    if ori_question is not None:
        body["ori_question"] = _question("ori_question", ori_question)
    if count is not None:
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_RESULTS:
            raise InvalidRequestError(f"count must be an integer from 1 to {_MOST_RESULTS}, got {count!r} {_SOURCE}")
        body["count"] = count
    return {**body, **further}


def fetch_request(url: str, further: Mapping[str, Any]) -> dict[str, Any]:
    """Build the body of a fetch. Raises InvalidRequestError for an invalid URL."""
    if not isinstance(url, str) or not url.isprintable() or any(letter.isspace() for letter in url):
        raise InvalidRequestError(f"url must not contain whitespace or control characters, got {url!r:.200} {_SOURCE}")
    if len(url) > _MOST_OF_A_URL:
        raise InvalidRequestError(f"url must have at most {_MOST_OF_A_URL:,} characters, got {len(url):,} {_SOURCE}")
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username or parts.password
    except ValueError:
        parts, host, user = None, None, None
    if parts is None or parts.scheme.lower() not in {"http", "https"} or not host:
        raise InvalidRequestError(
            f"url must begin with http:// or https:// and name a host, got {url!r:.200} {_SOURCE}"
        )
    if user is not None:
        raise InvalidRequestError(f"url must not contain user name or password, as that of {host!r} does {_SOURCE}")
    return {"url": url, **further}


def _question(name: str, text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InvalidRequestError(f"{name} must be a non-blank string, got {text!r:.200} {_SOURCE}")
    if len(text) > _MOST_CHARACTERS:
        raise InvalidRequestError(
            f"{name} must have at most {_MOST_CHARACTERS} characters, got {len(text):,} {_SOURCE}: {text[:40]!r}…",
        )
    return text
