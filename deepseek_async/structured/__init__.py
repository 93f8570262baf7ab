"""Structured output: answers parsed into a class or validated against a JSON Schema."""

from deepseek_async.structured.event_stream import ChatCompletionEventStream
from deepseek_async.structured.output import StructuredOutput
from deepseek_async.structured.output_form import AnswerForm, Method
from deepseek_async.structured.stream import ParsedChatCompletionStream
from deepseek_async.structured.tool_arguments import ToolArguments

__all__ = [
    "AnswerForm",
    "ChatCompletionEventStream",
    "Method",
    "ParsedChatCompletionStream",
    "StructuredOutput",
    "ToolArguments",
]
