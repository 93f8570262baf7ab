"""What the resources of one client make their calls with: its connections, and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepseek_async.configuration.features import prices_of

if TYPE_CHECKING:
    from deepseek_async.call.fallback import Alternative
    from deepseek_async.configuration.settings import Settings
    from deepseek_async.lint import Linter
    from deepseek_async.pricing.prices import PriceTable
    from deepseek_async.runtime.client_runtime import ClientRuntime
    from deepseek_async.tools.threads import ToolThreads


class ClientContext:
    """A ``ResourceClient``. Clients made by ``with_options`` have each their own, over one ClientRuntime."""

    def __init__(self, runtime: ClientRuntime, settings: Settings, *, lint: Linter, tool_threads: ToolThreads) -> None:
        self._runtime = runtime
        self._settings = settings
        self.timeouts = settings.timeouts
        self.retry = settings.retry
        self.lint = lint
        self.tool_threads = tool_threads
        self.tokens = runtime.tokens
        # The runtime's and not methods around them: every call asks for its caller.
        self.caller = runtime.caller
        self.caller_of = runtime.caller_of

    def with_settings(self, settings: Settings) -> ClientContext:
        """The same connections with the options of other ``settings``."""
        lint = self.lint.in_mode(settings.lint)
        return ClientContext(self._runtime, settings, lint=lint, tool_threads=self.tool_threads)

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Who may answer a chat call when the model or the service that was asked cannot."""
        return self._runtime.alternatives

    @property
    def prices(self) -> PriceTable:
        """What is charged by."""
        return prices_of(self._settings)
