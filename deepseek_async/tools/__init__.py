"""Tool calling with Python functions."""

from deepseek_async.tools.function import FunctionTool
from deepseek_async.tools.run import ToolRun

__all__ = ["FunctionTool", "ToolRun"]
