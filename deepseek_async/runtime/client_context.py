"""Connections and options that the resources of one client use for their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepseek_async.configuration.features import prices_of

if TYPE_CHECKING:
    from deepseek_async.call.fallback import Alternative
    from deepseek_async.configuration.settings import Settings
    from deepseek_async.lint import Linter
    from deepseek_async.pricing.prices import PriceTable
    from deepseek_async.process.worker_threads import WorkerThreads
    from deepseek_async.runtime.client_runtime import ClientRuntime


class ClientContext:
    """Implements ``ResourceClient``. Each client from ``with_options`` has its own, over a shared ClientRuntime."""

    def __init__(
        self, runtime: ClientRuntime, settings: Settings, *, lint: Linter, tool_threads: WorkerThreads
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self.timeouts = settings.timeouts
        self.retry = settings.retry
        self.lint = lint
        self.tool_threads = tool_threads
        self.tokens = runtime.tokens
        # Bound directly, without a wrapping method, because every call looks up its caller.
        self.caller = runtime.caller
        self.caller_of = runtime.caller_of

    def with_settings(self, settings: Settings) -> ClientContext:
        """Return a context with other ``settings`` over the same connections."""
        lint = self.lint.in_mode(settings.lint)
        return ClientContext(self._runtime, settings, lint=lint, tool_threads=self.tool_threads)

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Fallbacks for chat calls when the requested model or server fails."""
        return self._runtime.alternatives

    @property
    def prices(self) -> PriceTable:
        """Price table for charging."""
        return prices_of(self._settings)
