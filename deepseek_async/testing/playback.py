"""Which recorded exchange answers a request. Pure, but for the counting of what was replayed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from deepseek_async.testing.cassette import CassetteError, Exchange
from deepseek_async.testing.recorded_request import RecordedRequest, first_difference, likeness

_REFRESH: Final = "record it with --deepseek-record=new, or all of the file again with --deepseek-record=all"


class Playback:
    """The exchanges of one cassette, each replayed once; equal requests get theirs in the order of the recording."""

    def __init__(self, name: str, exchanges: Iterable[Exchange]) -> None:
        self._name = name
        self._exchanges = list(exchanges)
        self._servers = {exchange.server for exchange in self._exchanges}
        self._left: defaultdict[tuple[str, str, str], list[Exchange]] = defaultdict(list)
        for exchange in self._exchanges:
            self._left[exchange.request.key].append(exchange)

    @property
    def left(self) -> list[Exchange]:
        """Exchanges that were not replayed, in the order of the recording."""
        return sorted((one for several in self._left.values() for one in several), key=lambda one: one.line)

    def take(self, request: RecordedRequest, server: str) -> Exchange | None:
        """Return the next exchange for a request to a ``server``; None if there is none.

        If the cassette has exchanges with this server, only these count: a fallback gets other answers to the same
        request. If not, the base URL is another one today.
        """
        left = self._left.get(request.key, [])
        for exchange in left:
            if exchange.server == server or server not in self._servers:
                left.remove(exchange)
                return exchange
        return None

    def missing(self, request: RecordedRequest) -> CassetteError:
        """Return the error for a request without an exchange: one sentence with the nearest one."""
        same = [one for one in self._exchanges if one.request.key == request.key]
        if same:
            lines = ", ".join(str(one.line) for one in same)
            return CassetteError(
                f"{request} was sent more often than it is recorded in {self._name} (line {lines}); {_REFRESH}"
            )
        if not self._exchanges:
            return CassetteError(f"no recorded answer for {request}: {self._name} is empty; {_REFRESH}")
        nearest = max(self._exchanges, key=lambda one: likeness(one.request, request))
        difference = first_difference(nearest.request, request)
        return CassetteError(
            f"no recorded answer in {self._name} fits {request}: the nearest, line {nearest.line}, differs first in "
            f"{difference}; {_REFRESH}"
        )
