"""Listener that compares the prompts of a client with those before them."""

from __future__ import annotations

from typing import Final

from deepseek_async.codec.request import BETA_CHAT, CHAT
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import CallEnded, Event
from deepseek_async.pricing.prices import Meter, PriceTable, price_table
from deepseek_async.prompt_cache.history import AnsweredPrompt, PromptHistory
from deepseek_async.prompt_cache.report import CacheReport
from deepseek_async.types.json_text import read

_CHAT: Final = frozenset({CHAT, BETA_CHAT})


class PromptCacheWatch:
    """Finds out why chat prompts miss the service's prefix cache: ``AsyncDeepSeek(listeners=[PromptCacheWatch()])``.

    - ``prompts``: how many of the latest prompts to compare with; default 1,000.
    - ``memory_bytes``: what they may take, approximately; default 16 MiB. Digests take about a third of a byte for each
      character.
    - ``keep_texts``: whether to keep the texts too: differences are then found to the character, and shown. Without it
      only digests are kept, and a difference is found within 16 characters.

    ``client.cache_report()`` returns the CacheReport. Rendering a prompt takes about 20 µs for a kilobyte, after its
    answer. Raises ConfigurationError for invalid values.
    """

    def __init__(self, *, prompts: int = 1_000, memory_bytes: int = 16 << 20, keep_texts: bool = False) -> None:
        for name, value in (("prompts", prompts), ("memory_bytes", memory_bytes)):
            if not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name} must be an integer of at least 1, got {value!r}")
        self._prompts = prompts
        self._memory_bytes = memory_bytes
        self._keep_texts = bool(keep_texts)
        self.use_prices(price_table())
        self.clear()

    def use_prices(self, prices: PriceTable) -> None:
        """Charge by ``prices``; by default, by the table that ships with the library."""
        self._meter = Meter(prices)

    def clear(self) -> None:
        """Forget all prompts and figures."""
        self._history = PromptHistory(
            prompts=self._prompts, memory_bytes=self._memory_bytes, keep_texts=self._keep_texts
        )

    def report(self) -> CacheReport:
        """Return the report so far."""
        return self._history.report()

    def __call__(self, event: Event) -> None:
        """Take in a call that has ended; all other events are ignored."""
        if not isinstance(event, CallEnded) or event.path not in _CHAT or event.tier is not None:
            return
        usage, started = event.usage, event.started + event.queued
        if event.billed_attempts:
            # The usage is a sum; the last attempt is the one that was answered.
            usage, started = event.billed_attempts[-1].usage, event.billed_attempts[-1].at
        if usage is None or usage.estimated or not usage.prompt_tokens:
            return
        try:
            request = read(event.request)
        except ValueError:
            self._history.unread += 1
            return
        self._history.add(
            AnsweredPrompt(
                request,
                event.served_model or event.model,
                started,
                event.started + event.duration,
                usage.prompt_tokens,
                usage.cached_tokens,
                self._meter.rate_of(event.served_model, event.model, started),
                event.response_id,
                event.answer if event.finish_reason == "stop" else None,
            )
        )
