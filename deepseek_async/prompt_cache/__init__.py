"""Why prompts missed the service's prefix cache: what was expected, what was billed, and what differs."""

from deepseek_async.prompt_cache.report import CacheCause, CacheFigures, CacheReport
from deepseek_async.prompt_cache.watch import PromptCacheWatch

__all__ = ["CacheCause", "CacheFigures", "CacheReport", "PromptCacheWatch"]
