"""``client.tools``: search and fetch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from deepseek_async.admission.tool_limits import FETCH_PATH, SEARCH_PATH
from deepseek_async.call.lifecycle import Call
from deepseek_async.codec.body import AnswerDecoder, MembersDecoder
from deepseek_async.codec.verdict import error_in
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.quotation import quote
from deepseek_async.resources.connection import Connection, chosen_timeouts
from deepseek_async.resources.raw import Rawable
from deepseek_async.resources.route import Route, further, given
from deepseek_async.resources.standalone.patience import retry_of, timers
from deepseek_async.resources.standalone.questions import fetch_request, search_request
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import FetchedPage, PaidAnswer, SearchResults
from deepseek_async.types import fee as fees
from deepseek_async.types.operation import FETCH, SEARCH

T = TypeVar("T", bound=PaidAnswer)

_SEARCH_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 200.0
"""A fetch took 180 s at worst, in silence (public measurements of 2026-10)."""

_decode_results: Final = MembersDecoder(SearchResults, "results").decode
_decode_page: Final = AnswerDecoder(FetchedPage).decode


class Tools(Rawable):
    """``client.tools``: endpoints of DeepSeek's own that are paid by the piece.

    They have limits of their own (``tool_limits``), are asked three times at most, and a call that failed, timed out
    or was abandoned after it was sent counts as charged. ``answer.fees`` says what was paid.
    """

    def __init__(self, connection: Connection) -> None:
        self._route = Route(connection, "tools")

    async def search(
        self,
        query: str,
        *,
        count: int | None = None,
        ori_question: str | None = None,
        localization: str | None = None,
        need_content: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: float | Timeouts | None = None,
    ) -> SearchResults:
        """Search the web; a call takes up to 30 s.

        - ``query``: 128 characters at most; ``site:``, ``-site:``, ``"…"``, ``-word``, ``lang:``, ``after:`` and
          ``before:`` are operators in it.
        - ``count``: 1 to 50 results, 10 by default; the price is the same.
        - ``ori_question``: what the user asked, 128 characters at most.
        - ``localization``: an IP address, for results near it.
        - ``need_content``: add the text of each page.
        - ``extra_body``: further fields and values, sent unchecked.

        Raises InvalidRequestError for what DeepSeek is known to refuse.
        """
        asked = given(localization=localization, need_content=need_content)
        body = search_request(query, ori_question, count, {**asked, **further(extra_body)})
        route = self._route
        connection = route.connection
        call = route.call(
            *(SEARCH, "POST", SEARCH_PATH, body),
            headers=extra_headers,
            timeout=chosen_timeouts(timeout, timers(connection.timeouts, _SEARCH_SECONDS)),
            retry=retry_of(connection.retry),
            fees={fees.SEARCH: 1},
        )
        return await self._answer(call, _decode_results, "results")

    async def fetch(
        self,
        url: str,
        *,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: float | Timeouts | None = None,
    ) -> FetchedPage:
        """The text of a page as Markdown; a call takes up to 200 s.

        ``url``: http or https, without user name and password. Each target site has a limit too, which shows as a
        RateLimitError; only the calls that met it wait. Raises InvalidRequestError for what is no such address, and
        NotFoundError for a page that cannot be fetched.
        """
        body = fetch_request(url, further(extra_body))
        route = self._route
        connection = route.connection
        call = route.call(
            *(FETCH, "POST", FETCH_PATH, body),
            headers=extra_headers,
            timeout=chosen_timeouts(timeout, timers(connection.timeouts, _FETCH_SECONDS)),
            retry=retry_of(connection.retry, everybodys=False),
            fees={fees.FETCH: 1},
        )
        return await self._answer(call, _decode_page, "content")

    async def _answer(self, call: Call, decode: Callable[[bytes], T], needed: str) -> T:
        """The answer of ``call``, which has the ``needed`` field or is none, with what it cost."""
        answer: T = await self._route.answer(call, decode, partial(_fault_of, needed))
        used = answer.tokens_used()
        rate = self._route.connection.prices.rate(call.model, call.sent_at or 0.0)
        if used is not None and rate is not None:
            answer.fees = rate.fees_of(used)
        return answer


def _fault_of(needed: str, answer: PaidAnswer, headers: Mapping[str, str]) -> APIError | None:
    """Why a 200 is no answer: it holds an error object, or not what was paid for."""
    if needed in answer.to_dict():
        return None
    return error_in(answer, headers, now=time.time()) or APIResponseValidationError(
        f"the server's answer has no {needed}: {quote(answer.to_json())}",
    )
