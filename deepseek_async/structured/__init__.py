"""Structured output: answers parsed into a class or validated against a JSON Schema."""

from deepseek_async.structured.output import StructuredOutput
from deepseek_async.structured.output_form import AnswerForm, Method
from deepseek_async.structured.stream import ParsedChatCompletionStream

__all__ = ["AnswerForm", "Method", "ParsedChatCompletionStream", "StructuredOutput"]
