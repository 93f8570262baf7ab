"""``deepseek-async serve``: a client behind a base URL, for programs in any language."""

from deepseek_async.gateway.gateway import AsyncGateway

__all__ = ["AsyncGateway"]
