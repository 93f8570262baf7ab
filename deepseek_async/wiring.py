"""One caller with its pool of connections and its gate, put together from settings."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from deepseek_async.admission import Gate
from deepseek_async.admission.concurrency import START, AdaptiveWindow
from deepseek_async.admission.memory import CeilingMemory
from deepseek_async.admission.window import FixedWindow, Window
from deepseek_async.call.lifecycle import Caller
from deepseek_async.credential import ApiKey
from deepseek_async.errors import APIConnectionError
from deepseek_async.settings import Settings
from deepseek_async.transport.pool import Pool

_log = logging.getLogger("deepseek_async")

NOMINAL: Final = {"deepseek-flash": 2500, "deepseek-v4-pro": 500}
"""Published ceilings of concurrent requests (DeepSeek docs, Rate Limit); the true limit is often far lower."""

UNKNOWN: Final = 500
"""Ceiling of a model that is not in the table."""

DESCRIPTOR_RESERVE: Final = 32
"""Open files left to the rest of the process."""

_OTHER_ENDPOINTS: Final = 100
"""Requests at a time to endpoints that have no model, such as the balance."""

_REMEMBERED: Final = 0.8
"""Share of a remembered ceiling to start with; it may have sunk meanwhile."""

_FEW: Final = 100
"""Connections below which a limit on open files is worth a warning."""


class Connected:
    """A pool, a gate and the caller over both, on the running event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        base_url: str | None = None,
        api_key: ApiKey | None = None,
        gate: Gate | None = None,
        own: bool = True,
    ) -> None:
        """``own`` is False for another server than the client's: its headers and limits are not the client's."""
        most = _descriptors_left()
        url = base_url or settings.base_url
        self.session = Pool(
            url,
            api_key if base_url is not None else settings.api_key,
            limit=most,
            connect_timeout=settings.timeouts.connect,
            proxy=settings.proxy,
            # They may hold what a gateway in front of the client's own server wants to see.
            headers=settings.default_headers if own else None,
        )
        self._memory: CeilingMemory | None = None
        if settings.cache_folder is not None:
            account = settings.account if own else (api_key.fingerprint() if api_key is not None else "")
            self._memory = CeilingMemory(settings.cache_folder, self.session.origin, account)
        self._settings = settings
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._warned = False
        self.gate = gate or Gate(
            self._window,
            origin=self.session.origin,
            requests_per_minute=settings.requests_per_minute if own else None,
            tokens_per_minute=settings.tokens_per_minute if own else None,
            breaker=settings.breaker,
        )
        self._shares_gate = gate is not None
        self.caller = Caller(self.session, self.gate)

    def _window(self, model: str) -> Window:
        if not model:
            return FixedWindow(min(_OTHER_ENDPOINTS, self._most))
        chosen = self._settings.max_concurrency
        cap = NOMINAL.get(model, UNKNOWN) if chosen == "auto" else chosen
        if cap > self._most:
            if (chosen != "auto" or self._most < _FEW) and not self._warned:
                self._warned = True
                _log.warning(
                    "this process may open too few files for %d connections: %d requests run at a time; raise the "
                    "limit (ulimit -n)",
                    cap,
                    self._most,
                )
            cap = self._most
        if chosen != "auto":
            start: float = cap
        else:
            remembered = self._memory.recall(model, time.time()) if self._memory is not None else None
            start = START if remembered is None else _REMEMBERED * remembered
        return AdaptiveWindow(cap=cap, chance=random.random, now=self._loop.time(), start=start)

    def remember(self) -> None:
        """Keep the ceilings that were found for the next run."""
        if self._memory is None or self._shares_gate:
            return
        found = {}
        for scope in self.gate.scopes:
            ceiling = scope.window.statistics(self._loop.time()).ceiling
            if ceiling:
                found[scope.model] = int(ceiling)
        self._memory.store(found, time.time())

    async def aclose(self) -> None:
        """Close the connections; whoever waits for a turn is told so."""
        if not self._shares_gate:
            self.gate.dismiss(
                APIConnectionError(
                    "the client was closed while the call was waiting", retryable=False, reason="closed"
                ),
            )
        self.remember()
        await self.session.aclose()

    def forget(self) -> None:
        """Drop the pool of an event loop that has ended."""
        self.session.forget()


def _descriptors_left() -> int:
    """Connections that this process may have open."""
    try:
        import resource  # noqa: PLC0415  not on every platform
    except ImportError:
        return NOMINAL["deepseek-flash"] * 4
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return NOMINAL["deepseek-flash"] * 4
    return max(1, soft - DESCRIPTOR_RESERVE)
