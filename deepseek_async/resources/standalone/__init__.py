"""``client.tools``: what DeepSeek offers beside its models, each endpoint with limits, timers and fees of its own."""

from deepseek_async.resources.standalone.tools import Tools

__all__ = ["Tools"]
