"""Session with one origin: connection pool, account limiter and caller, built from settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Mapping
from typing import Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from deepseek_async.admission import AccountLimiter
from deepseek_async.admission.limit_factory import NOMINAL, LimitFactory
from deepseek_async.admission.remembered_limits import RememberedLimits
from deepseek_async.admission.sharing.group_file import FileGroup
from deepseek_async.admission.sharing.group_ray import RayGroup
from deepseek_async.admission.sharing.group_redis import RedisGroup
from deepseek_async.admission.sharing.rendezvous import OFF, RAY, Rendezvous
from deepseek_async.call.caller import Caller, Protections
from deepseek_async.configuration.credential import ApiKey
from deepseek_async.configuration.redis_url import is_redis
from deepseek_async.configuration.settings import Settings
from deepseek_async.errors import APIConnectionError
from deepseek_async.process.forks import leave, leave_loop
from deepseek_async.transport.custom_transport import CustomTransport
from deepseek_async.transport.header_fields import USER_AGENT, merged
from deepseek_async.transport.hosts import is_deepseeks, is_loopback
from deepseek_async.transport.pool import Pool
from deepseek_async.transport.protocol import MakeTransport, TransportOptions
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.session import Session, is_replaced

_LOG: Final = logging.getLogger("deepseek_async")

ConnectionPool = Pool | Session | CustomTransport

DESCRIPTOR_RESERVE: Final = 32
"""File descriptors reserved for the rest of the process."""


class OriginSession:
    """Connection pool, account limiter, and the caller over both, bound to the running event loop.

    Clients on one event loop with the same account, origin and limits share a limiter, because the API limits the
    account and separate limiters would compete.
    """

    def __init__(
        self,
        settings: Settings,
        protections: Protections,
        *,
        base_url: str | None = None,
        api_key: ApiKey | None = None,
        account_limiter: AccountLimiter | None = None,
        own: bool = True,
        transport: MakeTransport | None = None,
    ) -> None:
        """``own`` is False for a server other than the client's: the client's headers and limits do not apply."""
        most = _descriptors_left()
        proxy = settings.proxies.get(base_url or settings.base_url)
        if proxy is not None:
            _LOG.info("connecting to %s through proxy %s", base_url or settings.base_url, proxy)
        self.session = _connections(
            base_url or settings.base_url,
            api_key if base_url is not None else settings.api_key,
            limit=most,
            proxy=proxy,
            # Default headers may be meant for a gateway in front of the client's own server.
            headers=settings.default_headers if own else None,
            make=transport,
        )
        account = settings.account if own else _account_of(api_key)
        self._joins = account_limiter is None
        self.account_limiter: Final = account_limiter or _account_limiter_of(
            settings, self.session, account, most, own=own
        )
        self.account_limiter.users += self._joins
        another_key = base_url is not None and api_key != settings.api_key
        address = base_url or settings.base_url
        self.caller = Caller(
            self.session,
            self.account_limiter,
            protections,
            base_url=address,
            # On this machine the client's own server may stand in for DeepSeek, as simulators do.
            beta=is_deepseeks(address) or (own and is_loopback(urlsplit(address).hostname or "")),
            account=_account_of(api_key) if another_key else settings.account,
            limits=settings.limits,
        )

    async def aclose(self) -> None:
        """Close the connections and fail the waiting calls."""
        if self._joins:
            self.account_limiter.users -= 1
            if not self.account_limiter.users:
                await _retire(self.account_limiter)
        await self.session.aclose()

    def forget(self) -> None:
        """Drop the pool of a closed event loop."""
        self.session.forget()

    def leave_to_parent(self) -> None:
        """In a forked child: abandon the parent's connections."""
        leave_loop(self.caller.loop)
        leave(self)
        self.session.leave_to_parent()


def _connections(
    base_url: str,
    api_key: ApiKey | None,
    *,
    limit: int,
    proxy: Proxy | None,
    headers: Mapping[str, str] | None,
    make: MakeTransport | None,
) -> ConnectionPool:
    """Return the transport to one server, chosen once: later patches of aiohttp have no effect."""
    if make is not None:
        sent = merged(
            {"User-Agent": USER_AGENT},
            headers,
            {
                **({} if api_key is None else {"Authorization": api_key.authorization()}),
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
        )
        url = None if proxy is None else proxy.url
        return CustomTransport(make, TransportOptions(base_url=base_url, headers=sent, connections=limit, proxy=url))
    kind = Session if is_replaced() else Pool
    return kind(base_url, api_key, limit=limit, proxy=proxy, headers=headers)


_account_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, AccountLimiter]] = WeakKeyDictionary()


def _account_limiter_of(
    settings: Settings, pool: ConnectionPool, account: str, most: int, *, own: bool
) -> AccountLimiter:
    """Return the account's limiter on the running event loop, shared if one exists, else new."""
    origin = pool.origin
    requests, tokens = (settings.requests_per_minute, settings.tokens_per_minute) if own else (None, None)
    there = _account_limiters.setdefault(asyncio.get_running_loop(), {})
    limits = (settings.max_concurrency, settings.shared, requests, tokens, settings.breaker, settings.tool_limits)
    key = (origin, account, settings.retry.waits(), *limits)
    if key not in there:
        folder = settings.cache_folder
        memory = RememberedLimits(folder, origin, account) if folder is not None else None
        windows = LimitFactory(
            settings.max_concurrency,
            most=most,
            memory=memory,
            meeting=_meeting(settings, origin, account),
            distance=pool.distance,
            fixed=not settings.retry.waits(),
        )
        there[key] = AccountLimiter(
            windows,
            joins=windows.join,
            origin=origin,
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            breaker=settings.breaker,
            tool_limits=settings.tool_limits,
        )
    return there[key]


def _meeting(settings: Settings, origin: str, account: str) -> Rendezvous | None:
    """Return the rendezvous with other processes of the account; None if nothing may be stored."""
    if is_redis(settings.shared):
        # Explicitly configured, so it also applies with a fixed limit and to servers on this machine.
        return RedisGroup(settings.shared, f"{origin}\0{account}")
    if settings.shared == RAY:
        return RayGroup(f"{origin}\0{account}") if settings.max_concurrency == "auto" else None
    if settings.cache_folder is None or settings.shared == OFF:
        return None
    return FileGroup(settings.cache_folder, f"{origin}\0{account}")


def _account_of(api_key: ApiKey | None) -> str:
    return "" if api_key is None else api_key.fingerprint()


async def _retire(account_limiter: AccountLimiter) -> None:
    """Retire ``account_limiter`` when its last client is closed."""
    there = _account_limiters.get(account_limiter.loop, {})
    for key in [key for key, each in there.items() if each is account_limiter]:
        del there[key]
    account_limiter.dismiss(
        APIConnectionError("client closed while the call was waiting", retryable=False, reason="closed"),
    )
    if isinstance(account_limiter.windows, LimitFactory):
        await account_limiter.windows.aclose(account_limiter.limiters)


def _descriptors_left() -> int:
    """Return how many connections this process may still open."""
    try:
        import resource  # noqa: PLC0415  not on every platform
    except ImportError:
        return NOMINAL["deepseek-flash"] * 4
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return NOMINAL["deepseek-flash"] * 4
    return max(1, soft - DESCRIPTOR_RESERVE)
