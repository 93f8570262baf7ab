"""Decoder of non-streamed chat answers, with access to undeclared fields."""

from __future__ import annotations

from typing import Final

from deepseek_async.codec import finish_reason
from deepseek_async.codec.answer_decoder import UNREADABLE, USAGE, ChoicesDecoder
from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.types import ChatCompletion


class CompletionDecoder(ChoicesDecoder[ChatCompletion]):
    """Decoder of a chat completion, with access to undeclared fields of choice and message.

    One loop instead of a chain of base-class decoders: this runs for every call.
    """

    def __init__(self) -> None:
        super().__init__(ChatCompletion, ChunkReader)

    def decode(self, wire: bytes) -> ChatCompletion:
        wire = wire.strip()
        try:
            completion = self.decode_strictly(wire)
        except UNREADABLE:
            return self._decode_otherwise(wire)
        completion._wire = wire  # noqa: SLF001
        usage = completion.usage
        if usage is not None:
            usage._origin = (wire, USAGE)  # noqa: SLF001
        choices = completion.choices
        for position, choice in enumerate(choices):
            choice._origin = (wire, ("choices", position))  # noqa: SLF001
            choice.message._origin = (wire, ("choices", position, "message"))  # noqa: SLF001
            if choice.finish_reason not in finish_reason.COMPLETE:
                finish_reason.name(choices)
        if _REASONING in wire:
            _tell_reasoning(completion)
        return completion

    def _decode_otherwise(self, wire: bytes) -> ChatCompletion:
        completion = super().decode(wire)
        for choice in completion.choices:
            if choice._origin is not None:  # noqa: SLF001
                choice.message._origin = (choice._origin[0], (*choice._origin[1], "message"))  # noqa: SLF001
        _tell_reasoning(completion)
        return completion


_REASONING: Final = b'"reasoning"'


def _tell_reasoning(completion: ChatCompletion) -> None:
    """Copy ``reasoning`` (vLLM, OpenRouter, Groq) to DeepSeek's ``reasoning_content``."""
    for choice in completion.choices:
        message = choice.message
        if message.reasoning_content is None:
            said = message.to_dict().get("reasoning")
            message.reasoning_content = said if isinstance(said, str) else None


decode_completion: Final = CompletionDecoder().decode
