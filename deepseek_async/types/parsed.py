"""Chat completions with a parsed answer. Names follow openai-python."""

from __future__ import annotations

from typing import Generic, TypeVar, Unpack, cast

import msgspec

from deepseek_async.types.built_body import BuiltAnswer, text_of
from deepseek_async.types.chat_completion import ChatCompletion, ChatCompletionMessage, Choice

T = TypeVar("T")
P = TypeVar("P")


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

    @classmethod
    def build(
        cls, content: str | None = None, *, parsed: P | None = None, **said: Unpack[BuiltAnswer]
    ) -> ParsedChatCompletion[P]:
        """Build an answer for a test: ``ParsedChatCompletion.build(parsed=City("Oslo"))``.

        ``content`` is the JSON of ``parsed``, unless given. See ``ChatCompletion.build``.
        """
        text = text_of(parsed) if content is None and parsed is not None else content
        built = cast("ParsedChatCompletion[P]", super().build(text, **said))
        built.choices[0].message.parsed = parsed
        return built

    @property
    def parsed(self) -> T | None:
        """Object of the first choice."""
        return self.choices[0].message.parsed if self.choices else None
