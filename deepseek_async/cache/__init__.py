"""Answer cache, keyed by account and request, in memory, on disk and in Redis."""

from deepseek_async.cache.cache import Cache, CacheHit
from deepseek_async.cache.key import cache_key, is_deterministic
from deepseek_async.cache.replay import is_message, replay

__all__ = ["Cache", "CacheHit", "cache_key", "is_deterministic", "is_message", "replay"]
