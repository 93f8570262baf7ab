"""Chat completions whose answer was read as an object. Names follow openai-python."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from deepseek_async.types.chat import ChatCompletion, ChatCompletionMessage, Choice

T = TypeVar("T")


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T]):
    """What the assistant said, and the object it stands for."""

    parsed: T | None = None
    """None only when the model called a tool instead of answering."""


class ParsedChoice(Choice, Generic[T]):
    """One answer."""

    message: ParsedChatCompletionMessage[T] = msgspec.field(default_factory=ParsedChatCompletionMessage)


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """A whole answer; ``choices[0].message.parsed`` is the object, and so is ``parsed``."""

    choices: list[ParsedChoice[T]] = []  # type: ignore[assignment]  # a list of children, as in openai-python

    @property
    def parsed(self) -> T | None:
        """The object of the first choice."""
        return self.choices[0].message.parsed if self.choices else None
