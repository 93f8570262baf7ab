"""Chat completions with a parsed answer. Names follow openai-python."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from deepseek_async.types.chat import ChatCompletion, ChatCompletionMessage, Choice

T = TypeVar("T")


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T]):
    """The assistant's message and the object parsed from it."""

    parsed: T | None = None
    """None only if the model called a tool instead of answering."""


class ParsedChoice(Choice, Generic[T]):
    """One answer."""

    message: ParsedChatCompletionMessage[T] = msgspec.field(default_factory=ParsedChatCompletionMessage)


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """A complete answer; ``parsed``, like ``choices[0].message.parsed``, is the object."""

    choices: list[ParsedChoice[T]] = []  # type: ignore[assignment]  # a list of children, as in openai-python

    @property
    def parsed(self) -> T | None:
        """Object of the first choice."""
        return self.choices[0].message.parsed if self.choices else None
