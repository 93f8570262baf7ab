"""Streamed answers: chunks as they arrive, and the assembled answer at the end."""

from deepseek_async.call.stream.answer import AnswerStream
from deepseek_async.call.stream.audio import AudioStream
from deepseek_async.call.stream.kinds import ChatCompletionStream, CompletionStream, ResponseStream
from deepseek_async.call.stream.message import MessageStream

__all__ = ["AnswerStream", "AudioStream", "ChatCompletionStream", "CompletionStream", "MessageStream", "ResponseStream"]
