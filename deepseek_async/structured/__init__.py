"""Structured output: answers parsed into a class or validated against a JSON Schema."""

from deepseek_async.structured.form import AnswerForm, Method
from deepseek_async.structured.output import StructuredOutput

__all__ = ["AnswerForm", "Method", "StructuredOutput"]
