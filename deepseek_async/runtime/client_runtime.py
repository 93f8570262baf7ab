"""State shared by a client and its ``with_options`` copies: connection pools, limits, features."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from deepseek_async.admission.statistics import Statistics
from deepseek_async.admission.wait_queue import with_look_ahead
from deepseek_async.call.caller import Caller
from deepseek_async.call.fallback import Alternative
from deepseek_async.codec.tokens import TokenEstimator
from deepseek_async.configuration.endpoint import Family
from deepseek_async.configuration.features import Features
from deepseek_async.configuration.settings import Settings
from deepseek_async.deprecated_names import attribute
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import Listener, Snapshot, Watching
from deepseek_async.process.forks import AtFork, refuse_inherited_loop, register
from deepseek_async.runtime.endpoint_sessions import EndpointSessions
from deepseek_async.runtime.origin_session import ConnectionPool, OriginSession
from deepseek_async.transport.address import same_origin
from deepseek_async.transport.protocol import MakeTransport

if TYPE_CHECKING:
    from deepseek_async.codec.tokenizer import Tokenizer

_RENAMED: Final = {"operations": "features"}


class ClientRuntime(AtFork):
    """Opened on first use, bound to one event loop at a time, closed once for all clients that share it."""

    def __init__(self, settings: Settings, features: Features, transport: MakeTransport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self.features = features
        self.tokens = TokenEstimator(_tokenizer(settings.tokenizer))
        self.alternatives: tuple[Alternative, ...] = ()
        """Fallbacks for chat calls when the requested model or server fails."""
        self.opened: Caller | None = None
        """Caller of the open session, if any."""
        self._protections = features.protections(settings)
        self._pools: list[ConnectionPool] = []
        """Open pools, to be dropped if nobody closes the client."""
        self._elsewhere = EndpointSessions(settings, self._protections, self._pools, transport)
        self._connected: OriginSession | None = None
        self._backup: OriginSession | None = None
        self._closed = False
        register(self)
        # Not __del__: objects of one cycle are finalized in arbitrary order.
        finalize(self, _drop, self._pools, settings.base_url)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def caller(self) -> Caller:
        """Return the caller bound to the running event loop; creates it and its connection pool on first use.

        Raises ConfigurationError if the client is closed, in use on another running loop, or used in a forked child
        on a loop of its parent.
        """
        caller = self.opened
        if caller is not None and caller.loop is asyncio.get_running_loop():
            return caller
        return self._open()

    def caller_of(self, family: Family) -> Caller:
        """Return the caller for a family of endpoints: the client's own, or that of a server in ``endpoints``."""
        return self._elsewhere.caller(family, self.caller())

    def statistics(self) -> Statistics:
        """Return what is in flight, what waits and why, at this moment."""
        settings = self._settings
        return Statistics(
            base_url=settings.base_url,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            **_state_of(self._connected),
            fallback=None
            if settings.fallback is None
            else Statistics(base_url=settings.fallback.base_url, **_state_of(self._backup)),
            endpoints=tuple(
                Statistics(base_url=endpoint.base_url, **_state_of(connected))
                for endpoint, connected in self._elsewhere.used.items()
            ),
        )

    def snapshot(self) -> Snapshot:
        """Return the figures for metrics: ``statistics`` summed over all servers, and the rest of the budget."""
        # Sessions at the client's own server share its limiter.
        account_limiters = {id(connected.account_limiter): connected.account_limiter for connected in self._all()}
        return self.features.snapshot(
            [
                limiter.statistics()
                for account_limiter in account_limiters.values()
                for limiter in account_limiter.limiters
            ]
        )

    def add_listener(self, listener: Listener) -> None:
        """Send the events of calls that start from now on to ``listener``. Raises ConfigurationError."""
        self.features.add_listener(listener)
        if self._protections.middleware is None:
            self._protections = self._elsewhere.protections = self.features.protections(self._settings)
            for connected in self._all():
                connected.caller.middleware = self._protections.middleware
        if self.opened is not None and isinstance(listener, Watching):
            listener.watch(self.snapshot)

    def remove_listener(self, listener: Listener) -> None:
        """Send no more events to ``listener``."""
        self.features.listeners.remove(listener)
        if isinstance(listener, Watching):
            listener.unwatch(self.snapshot)

    def reset(self) -> None:
        """Close all circuit breakers, end all pauses and resume with a key that was refused."""
        for connected in self._all():
            connected.account_limiter.reset()
            connected.caller.halt = None

    def _all(self) -> list[OriginSession]:
        """Return the open sessions at all servers."""
        servers = (self._connected, self._backup, *self._elsewhere.used.values())
        return [connected for connected in servers if connected is not None]

    def room(self) -> int:
        """Batch rows in progress while the client adapts: the concurrency limits plus a few rows of look-ahead."""
        limiters = self.caller().account_limiter.limiters
        return with_look_ahead(sum(limiter.window.size for limiter in limiters if limiter.model))

    def __getattr__(self, name: str) -> Any:
        return attribute(self, name, _RENAMED)

    def __str__(self) -> str:
        if self.opened is not None:
            return str(self.statistics())
        return "closed" if self._closed else "not yet used"

    def after_fork_in_child(self) -> None:
        """Abandon the parent's connections; the next call opens new ones."""
        self.opened, self.alternatives = None, ()
        for connected in (self._connected, self._backup):
            if connected is not None:
                connected.leave_to_parent()
        self._connected = self._backup = None
        self._elsewhere.leave_to_parent()
        self._pools.clear()

    async def aclose(self) -> None:
        """Close all connections. Calls in flight fail; later calls raise ConfigurationError."""
        self._closed = True
        for listener in self.features.listeners:
            if isinstance(listener, Watching):
                listener.unwatch(self.snapshot)
        try:
            await self._close()
        finally:
            await self.features.aclose()

    def _open(self) -> Caller:
        if self._closed:
            raise ConfigurationError("client is closed; create a new AsyncDeepSeek")
        refuse_inherited_loop()
        if self._connected is not None:
            if self._connected.caller.loop.is_running():
                raise ConfigurationError(
                    "client is in use on another running event loop; create one AsyncDeepSeek per event loop",
                )
            # asyncio.run() twice with one client: the first loop took its sockets with it.
            self._forget()
        settings = self._settings
        self._connected = connected = OriginSession(settings, self._protections, transport=self._transport)
        self._pools.append(connected.session)
        for listener in self.features.listeners:
            if isinstance(listener, Watching):
                listener.watch(self.snapshot)
        own, backup = connected.caller, settings.fallback
        alternatives = [Alternative(own, model, model) for model in settings.fallback_models]
        if backup is not None:
            at_home = same_origin(backup.base_url, settings.base_url)
            self._backup = OriginSession(
                *(settings, self._protections),
                base_url=backup.base_url,
                api_key=backup.api_key,
                own=at_home,
                transport=self._transport,
            )
            self._pools.append(self._backup.session)
            name = f"{backup.model} at {backup.base_url}" if backup.model else backup.base_url
            alternatives.append(Alternative(self._backup.caller, backup.model or "", name))
        self.alternatives = tuple(alternatives)
        self.opened = own
        return own

    async def _close(self) -> None:
        connected, self.opened = self._connected, None
        if connected is None:
            return
        if connected.caller.loop is not asyncio.get_running_loop():
            self._forget()
            return
        backup, self._connected, self._backup = self._backup, None, None
        await connected.aclose()
        if backup is not None:
            await backup.aclose()
        await self._elsewhere.aclose()
        self._pools.clear()

    def _forget(self) -> None:
        """Drop the pools of a closed event loop."""
        for connected in (self._connected, self._backup):
            if connected is not None:
                connected.forget()
        self._connected = self._backup = None
        self._elsewhere.forget()
        self._pools.clear()


def _drop(pools: list[ConnectionPool], base_url: str) -> None:
    """Finalizer of an unclosed client. Runs once, at the latest at interpreter exit."""
    if not pools:
        return
    for pool in pools:
        pool.drop()
    warnings.warn(
        f"unclosed <AsyncDeepSeek {base_url}>: use 'async with AsyncDeepSeek() as client:', or await "
        "client.aclose() before the event loop ends",
        ResourceWarning,
        stacklevel=1,
    )


def _tokenizer(path: str | None) -> Tokenizer | None:
    if path is None:
        return None
    from deepseek_async.codec.tokenizer import Tokenizer  # noqa: PLC0415  rarely used

    return Tokenizer.from_file(path)


def _state_of(connected: OriginSession | None) -> dict[str, Any]:
    if connected is None:
        return {}
    account_limiter, caller = connected.account_limiter, connected.caller
    return {
        "models": tuple(limiter.statistics() for limiter in account_limiter.limiters),
        "origin_breaker": account_limiter.origin.breaker.state.value
        if account_limiter.origin.breaker is not None
        else None,
        "stopped_by": caller.halt.error.message if caller.halt is not None and caller.is_refused else None,
    }
