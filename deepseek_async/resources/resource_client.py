"""Interface of the client to its resources: the caller of the running event loop, and defaults."""

from __future__ import annotations

from typing import Protocol

import msgspec

from deepseek_async.call.caller import Caller
from deepseek_async.call.fallback import Alternative
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.tokens import TokenEstimator
from deepseek_async.configuration.endpoint import Family
from deepseek_async.errors import ConfigurationError
from deepseek_async.lint import Linter
from deepseek_async.pricing.prices import PriceTable
from deepseek_async.process.worker_threads import WorkerThreads
from deepseek_async.text.omitted import is_omitted
from deepseek_async.transport.timeouts import HTTPXTimeout, Timeouts, as_timeouts

AnyTimeout = float | Timeouts | HTTPXTimeout
"""Seconds for the whole call with queueing and retries, or a limit for each of its waits."""


class ResourceClient(Protocol):
    """The client, as its resources see it."""

    @property
    def retry(self) -> RetryPolicy:
        """Retry policy."""
        ...

    @property
    def timeouts(self) -> Timeouts:
        """Default timeouts."""
        ...

    @property
    def lint(self) -> Linter:
        """Linter of requests."""
        ...

    @property
    def tokens(self) -> TokenEstimator:
        """Token estimator."""
        ...

    @property
    def tool_threads(self) -> WorkerThreads:
        """Threads for blocking tool functions."""
        ...

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Fallback models and endpoints of chat calls."""
        ...

    @property
    def prices(self) -> PriceTable:
        """Price table."""
        ...

    def caller(self) -> Caller:
        """Return the caller of the running event loop, created on first use. Raises ConfigurationError once closed."""
        ...

    def caller_of(self, family: Family) -> Caller:
        """Return the caller of an endpoint family, which may be configured at another server."""
        ...


def chosen_timeouts(timeout: AnyTimeout | None, default: Timeouts) -> Timeouts:
    """Convert a ``timeout=`` argument; a number limits the whole call, queueing and retries included."""
    if timeout is None:
        return default
    if isinstance(timeout, int | float) and not isinstance(timeout, bool):
        return msgspec.structs.replace(default, total=float(timeout))
    given = as_timeouts(timeout, default)
    if given is None:
        if is_omitted(timeout):
            return default
        raise ConfigurationError(f"timeout must be a number of seconds or a Timeouts, got {timeout!r}")
    return given
