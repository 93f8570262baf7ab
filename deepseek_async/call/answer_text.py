"""The text of an answer of any kind. Pure."""

from __future__ import annotations

from typing import Final

from deepseek_async.types import Answer, ChatCompletion, Completion, CompletionChoice, Message, Response

_CHOOSING: Final = (ChatCompletion, Completion)


def text_of(answer: Answer | None) -> str | None:
    """Return the text of ``answer``, or None if it has none."""
    if isinstance(answer, Response):
        return answer.output_text
    if isinstance(answer, Message):
        return answer.text
    if isinstance(answer, _CHOOSING) and answer.choices:
        choice = answer.choices[0]
        return choice.text if isinstance(choice, CompletionChoice) else choice.message.content
    return None
