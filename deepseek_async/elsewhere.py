"""The callers for families of endpoints that another server has: own pool, own key, own limits."""

from __future__ import annotations

from deepseek_async.admission import Gate
from deepseek_async.call.lifecycle import Caller
from deepseek_async.endpoint import Endpoint, Family
from deepseek_async.settings import Settings, same_origin
from deepseek_async.transport.pool import Pool


class Elsewhere:
    """Made with a client; holds nothing until a family is used that ``endpoints`` sends elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[Endpoint, tuple[Pool, Caller]] = {}

    def caller(self, family: Family, own: Caller) -> Caller:
        """The caller for ``family``; ``own``, the client's, if no other server is named for it."""
        endpoint = self._settings.endpoints.get(family)
        if endpoint is None:
            return own
        if endpoint not in self._open:
            self._open[endpoint] = self._made(endpoint, own)
        return self._open[endpoint][1]

    def _made(self, endpoint: Endpoint, own: Caller) -> tuple[Pool, Caller]:
        settings = self._settings
        at_home = same_origin(endpoint.base_url, settings.base_url)
        session = Pool(
            endpoint.base_url,
            endpoint.api_key,
            limit=settings.max_concurrency,
            connect_timeout=settings.timeouts.connect,
            proxy=settings.proxy,
            # They may hold what a gateway in front of the client's own server wants to see.
            headers=settings.default_headers if at_home else None,
        )
        return session, Caller(session, own.gate if at_home else Gate(settings.max_concurrency))

    async def aclose(self) -> None:
        """Close the connections to all other servers."""
        while self._open:
            await self._open.popitem()[1][0].aclose()

    def forget(self) -> None:
        """Drop the pools of an event loop that has ended."""
        while self._open:
            self._open.popitem()[1][0].forget()
