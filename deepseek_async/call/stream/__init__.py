"""Streamed answers: chunks as they arrive, and the assembled answer at the end."""

from deepseek_async.call.stream.answer import AnswerStream
from deepseek_async.call.stream.audio import AudioStream
from deepseek_async.call.stream.choices import ChoicesStream
from deepseek_async.call.stream.message import MessageStream
from deepseek_async.call.stream.streams import (
    ChatCompletionStream,
    CompletionStream,
    ForwardedStream,
    ResponseStream,
)

__all__ = [
    "AnswerStream",
    "AudioStream",
    "ChatCompletionStream",
    "ChoicesStream",
    "CompletionStream",
    "ForwardedStream",
    "MessageStream",
    "ResponseStream",
]
