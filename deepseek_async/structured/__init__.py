"""Answers as objects of a class of the caller's."""

from deepseek_async.structured.output import Method, StructuredOutput

__all__ = ["Method", "StructuredOutput"]
