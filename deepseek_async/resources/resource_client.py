"""What every resource needs of its client: the caller of the running event loop, and the client's defaults."""

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
from deepseek_async.tools.threads import ToolThreads
from deepseek_async.transport.watchdog import Timeouts


class ResourceClient(Protocol):
    """A client, seen from its resources."""

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""
        ...

    @property
    def timeouts(self) -> Timeouts:
        """How long each wait may last."""
        ...

    @property
    def lint(self) -> Linter:
        """Looks requests over before they are sent."""
        ...

    @property
    def tokens(self) -> TokenEstimator:
        """Guesses what a request will use."""
        ...

    @property
    def tool_threads(self) -> ToolThreads:
        """Where functions run that block."""
        ...

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Who may answer a chat call when the model or the service that was asked cannot."""
        ...

    @property
    def prices(self) -> PriceTable:
        """What is charged by."""
        ...

    def caller(self) -> Caller:
        """The caller for the running event loop, made on first use. Raises ConfigurationError once closed."""
        ...

    def caller_of(self, family: Family) -> Caller:
        """``caller`` for one family of endpoints, which another server may have."""
        ...


def chosen_timeouts(timeout: float | Timeouts | None, default: Timeouts) -> Timeouts:
    """A ``timeout=`` argument as timers: a number bounds the whole call, queueing and retries included."""
    if timeout is None:
        return default
    if isinstance(timeout, Timeouts):
        return timeout
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise ConfigurationError(f"timeout must be a number of seconds or a Timeouts, not {timeout!r}")
    return msgspec.structs.replace(default, total=float(timeout))
