"""``client.tools``: DeepSeek's endpoints beside the models, each with its own limits, timers and fees."""

from deepseek_async.resources.standalone.tools import Tools

__all__ = ["Tools"]
