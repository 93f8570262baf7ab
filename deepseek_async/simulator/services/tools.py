"""Search and fetch tools, which are charged per use. All results are generated."""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from deepseek_async.simulator.services.request import (
    Charged,
    Outcome,
    ServiceRequest,
    WrongRequestError,
    number,
    text,
)
from deepseek_async.simulator.wire import refusals

# DeepSeek docs, Search guide.
MAX_QUERY = 128
MAX_RESULTS = 50
MAX_URL = 8192

# Nothing is found or fetched there: the name is reserved for that (RFC 2606).
NOWHERE = ".invalid"


class PerSecond:
    """A rate limit of requests per second; None = unlimited."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._taken: dict[tuple[str, ...], deque[float]] = {}

    def takes(self, at: float, *key: str) -> bool:
        """Whether a request of this `key` is within the limit. A rejected one does not count."""
        if self._most is None:
            return True
        taken = self._taken.setdefault(key, deque())
        while taken and taken[0] <= at - 1.0:
            taken.popleft()
        if len(taken) >= self._most:
            return False
        taken.append(at)
        return True


class Tools:
    """`/v1/tools/search` and `/v1/tools/fetch`."""

    def __init__(self, *, searches: int | None, fetches: int | None, fetches_of_a_site: int | None) -> None:
        self._searches = PerSecond(searches)
        self._fetches = PerSecond(fetches)
        self._sites = PerSecond(fetches_of_a_site)

    def search(self, request: ServiceRequest) -> Outcome:
        """`POST /v1/tools/search`. Unknown fields are ignored."""
        body = request.body
        query = _short_text(body, "query")
        if body.get("ori_question") is not None:
            _short_text(body, "ori_question")
        count = number(body, "count", 1, MAX_RESULTS, 10) or 10
        if not self._searches.takes(request.at, request.account):
            return refusals.envelope(429, "Search QPS limit of the account exceeded", "rate_limit_error")
        found = 0 if NOWHERE in query else count
        results = [_result(query, place, content=bool(body.get("need_content"))) for place in range(found)]
        return Charged({"results": results}, {"search": 1} if results else {})

    def fetch(self, request: ServiceRequest) -> Outcome:
        """`POST /v1/tools/fetch`."""
        url = text(request.body, "url")
        parts = urlsplit(url)
        if len(url) > MAX_URL or parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise WrongRequestError("Invalid 'url': expected an http or https address of a host")
        if not self._fetches.takes(request.at, request.account):
            return refusals.envelope(429, "Fetch QPS limit of the account exceeded", "rate_limit_error")
        if not self._sites.takes(request.at, request.account, parts.hostname):
            return refusals.envelope(429, "Too many requests to the target site", "rate_limit_error")
        if parts.hostname.endswith(NOWHERE):
            raise WrongRequestError("The page could not be fetched", 404)
        name = parts.hostname
        page = f"# {name}\n\nA page that was made up for `{url}`."
        return Charged({"title": name, "content": page}, {"fetch": 1})


def _short_text(body: dict[str, Any], name: str) -> str:
    value = text(body, name)
    if not value.strip() or len(value) > MAX_QUERY:
        raise WrongRequestError(f"Invalid '{name}': expected 1 to {MAX_QUERY} characters")
    return value


def _result(query: str, place: int, *, content: bool) -> dict[str, Any]:
    name = blake2b(f"{query}\0{place}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    said = f"Result {place + 1} for {query}"
    return {
        "title": said,
        "url": f"https://{name}.example/{place + 1}",
        "snippet": f"{said}, in short.",
        "summary": f"{said}, at some length.",
        "content": f"{said}, as the page has it." if content else "",
        "rerank_score": round(3 / (place + 1), 2),
        "authority": place % 6 - 1,
        "date": "2026-10-20T08:00:00Z" if place % 2 == 0 else None,
        "site_name": f"{name}.example",
        "site_icon": None,
    }
