"""Sessions for families of endpoints on other servers, each with its own pool, key and limits."""

from __future__ import annotations

from collections.abc import Mapping

from deepseek_async.call.caller import Caller, Protections
from deepseek_async.configuration.endpoint import Endpoint, Family
from deepseek_async.configuration.settings import Settings
from deepseek_async.runtime.origin_session import ConnectionPool, OriginSession
from deepseek_async.transport.address import same_origin
from deepseek_async.transport.protocol import MakeTransport


class EndpointSessions:
    """Opens a session when a family in ``endpoints`` is first used."""

    def __init__(
        self,
        settings: Settings,
        protections: Protections,
        pools: list[ConnectionPool],
        transport: MakeTransport | None = None,
    ) -> None:
        """``pools`` receives every pool that is opened."""
        self._settings = settings
        self.protections = protections
        """Of sessions that are opened from now on."""
        self._pools = pools
        self._transport = transport
        self._open: dict[Endpoint, OriginSession] = {}

    def caller(self, family: Family, own: Caller) -> Caller:
        """Return the caller for ``family``; ``own``, the client's, if ``endpoints`` does not name the family."""
        endpoint = self._settings.endpoints.get(family)
        if endpoint is None:
            return own
        if endpoint not in self._open:
            at_home = same_origin(endpoint.base_url, self._settings.base_url)
            self._open[endpoint] = connected = OriginSession(
                self._settings,
                self.protections,
                base_url=endpoint.base_url,
                api_key=endpoint.api_key,
                account_limiter=own.account_limiter if at_home else None,
                own=at_home,
                transport=self._transport,
            )
            self._pools.append(connected.session)
        return self._open[endpoint].caller

    @property
    def used(self) -> Mapping[Endpoint, OriginSession]:
        """Open sessions, by endpoint."""
        return self._open

    async def aclose(self) -> None:
        """Close the connections to all other servers."""
        while self._open:
            await self._open.popitem()[1].aclose()

    def forget(self) -> None:
        """Drop the pools of a closed event loop."""
        while self._open:
            self._open.popitem()[1].forget()

    def leave_to_parent(self) -> None:
        """In a forked child: abandon the parent's connections."""
        while self._open:
            self._open.popitem()[1].leave_to_parent()
