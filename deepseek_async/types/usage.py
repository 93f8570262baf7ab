"""What a call consumed, in tokens."""

from __future__ import annotations

from deepseek_async.types.answer import Part


class PromptTokensDetails(Part):
    """OpenAI's name for the cached part of the prompt."""

    cached_tokens: int | None = None


class CompletionTokensDetails(Part):
    """Absent when thinking was off."""

    reasoning_tokens: int | None = None


class CompletionUsage(Part):
    """Tokens of one call, as the server billed them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Answer and reasoning together."""
    total_tokens: int = 0
    prompt_cache_hit_tokens: int | None = None
    """Part of ``prompt_tokens`` served from the prefix cache, at 1/50 (flash) or 1/30 (pro) of the price."""
    prompt_cache_miss_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens served from the cache, whichever of the two names the server used."""
        if self.prompt_cache_hit_tokens is not None:
            return self.prompt_cache_hit_tokens
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details else 0

    @property
    def reasoning_tokens(self) -> int:
        """The part of ``completion_tokens`` spent on reasoning; 0 when thinking was off."""
        details = self.completion_tokens_details
        return (details.reasoning_tokens or 0) if details else 0
