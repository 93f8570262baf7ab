"""The texts of an answer, whole or in pieces, passed through a content filter."""

from __future__ import annotations

from typing import Any

from deepseek_async.content import ContentFilter, HoldBack, Verdict
from deepseek_async.types import (
    Answer,
    ChatCompletion,
    ChatCompletionChunk,
    ChunkChoice,
    Completion,
    FunctionDelta,
    ToolCallDelta,
)


async def filtered(answer: Answer, content: ContentFilter, verdict: Verdict) -> None:
    """Replace the texts of ``answer`` by what may be handed out. Raises ContentBlockedError."""
    changed = False
    for part, field in _texts_of(answer):
        text = getattr(part, field)
        if text:
            passed = await content.output(text, verdict)
            if passed != text:
                setattr(part, field, passed)
                changed = True
    if changed:
        _forget_wire(answer)


def _texts_of(answer: Answer) -> list[tuple[Any, str]]:
    if isinstance(answer, ChatCompletion):
        messages = [choice.message for choice in answer.choices]
        calls = [call.function for message in messages for call in message.tool_calls or ()]
        texts = [(message, field) for message in messages for field in ("content", "reasoning_content")]
        return [*texts, *((function, "arguments") for function in calls)]
    if isinstance(answer, Completion):
        return [(choice, "text") for choice in answer.choices]
    return []


def _forget_wire(answer: Answer) -> None:
    """The bytes that came hold what was taken out."""
    answer._wire = b""  # noqa: SLF001
    if isinstance(answer, ChatCompletion):
        for choice in answer.choices:
            choice._origin = choice.message._origin = None  # noqa: SLF001
    elif isinstance(answer, Completion):
        for piece in answer.choices:
            piece._origin = None  # noqa: SLF001


class FilteredStream:
    """Filters chunks in place and remembers what was let out of each text."""

    def __init__(self, content: ContentFilter, verdict: Verdict) -> None:
        self._content = content
        self._verdict = verdict
        self._texts: dict[tuple[int, str], _Text] = {}

    async def pass_on(self, chunks: list[Any]) -> None:
        """Replace the pieces of ``chunks`` by those that may be handed out now. Raises ContentBlockedError."""
        for chunk in chunks:
            if isinstance(chunk, ChatCompletionChunk):
                for choice in chunk.choices:
                    await self._chat(choice)
            elif isinstance(chunk, Completion):
                for piece in chunk.choices:
                    text = await self._let_out(piece.index, "text", piece.text, last=piece.finish_reason is not None)
                    piece.text = text or ""
                    piece._origin = None  # noqa: SLF001
            chunk._wire = b""  # noqa: SLF001

    def rewrite(self, answer: Answer) -> None:
        """Put the texts that were let out into ``answer``, which was assembled from what came."""
        _forget_wire(answer)
        if isinstance(answer, ChatCompletion):
            for choice in answer.choices:
                message = choice.message
                message.content = self._let_out_of(choice.index, "content", message.content)
                message.reasoning_content = self._let_out_of(choice.index, "reasoning", message.reasoning_content)
                for call in message.tool_calls or ():
                    arguments = self._let_out_of(choice.index, f"call {call.index}", call.function.arguments)
                    call.function.arguments = arguments or ""
        elif isinstance(answer, Completion):
            for piece in answer.choices:
                piece.text = self._let_out_of(piece.index, "text", piece.text) or ""

    async def _chat(self, choice: ChunkChoice) -> None:
        delta, last = choice.delta, choice.finish_reason is not None
        # Reasoning is over when the answer begins; what is held of it must not come after.
        reasoning_over = last or bool(delta.content or delta.tool_calls)
        delta.reasoning_content = await self._let_out(
            *(choice.index, "reasoning", delta.reasoning_content),
            last=reasoning_over,
        )
        delta.content = await self._let_out(choice.index, "content", delta.content, last=last)
        for call in delta.tool_calls or ():
            if call.function is not None:
                name = f"call {call.index}"
                call.function.arguments = await self._let_out(choice.index, name, call.function.arguments, last=False)
        if last:
            await self._end_calls(choice)

    async def _end_calls(self, choice: ChunkChoice) -> None:
        for (index, name), text in self._texts.items():
            if index == choice.index and name.startswith("call ") and not text.ended:
                rest = await self._let_out(index, name, None, last=True)
                if rest:
                    added = ToolCallDelta(index=int(name[5:]), function=FunctionDelta(arguments=rest))
                    choice.delta.tool_calls = [*(choice.delta.tool_calls or ()), added]

    async def _let_out(self, index: int, name: str, piece: str | None, *, last: bool) -> str | None:
        text = self._texts.get((index, name))
        if text is None:
            if piece is None:
                return None
            text = self._texts[index, name] = _Text(HoldBack(self._content, self._verdict))
        out = text.hold.push(piece) if piece else ""
        if last and not text.ended:
            text.ended = True
            out += text.hold.end()
        if out:
            out = await self._content.own_checks(out, self._verdict)
            text.pieces.append(out)
        return out if out or piece is not None else None

    def _let_out_of(self, index: int, name: str, otherwise: str | None) -> str | None:
        text = self._texts.get((index, name))
        return otherwise if text is None else "".join(text.pieces)


class _Text:
    """One text of a stream."""

    __slots__ = ("ended", "hold", "pieces")

    def __init__(self, hold: HoldBack) -> None:
        self.hold = hold
        self.pieces: list[str] = []
        self.ended = False
