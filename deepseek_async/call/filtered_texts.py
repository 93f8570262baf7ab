"""Content filter for the texts of an answer, complete or streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from deepseek_async.call.message_texts import MessageTexts
from deepseek_async.call.response_texts import ResponseTexts
from deepseek_async.call.stream import (
    AnswerStream,
    AudioStream,
    ChatCompletionStream,
    CompletionStream,
    MessageStream,
    ResponseStream,
)
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.codec.messages import decode_message
from deepseek_async.codec.repair import regular
from deepseek_async.codec.undeclared_fields import ChunkFields, further_of, rewritten
from deepseek_async.content import ContentFilter, HoldBack, Verdict
from deepseek_async.content.text_locations import copied
from deepseek_async.errors import APIError, ContentBlockedError
from deepseek_async.types import (
    Answer,
    ChatCompletion,
    ChatCompletionChunk,
    ChunkChoice,
    Completion,
    FunctionDelta,
    Message,
    ToolCallDelta,
)
from deepseek_async.types.json_text import write

T = TypeVar("T", bound=Answer)


async def filtered(answer: T, decode: Callable[[bytes], T], content: ContentFilter, verdict: Verdict) -> T:
    """Return ``answer`` with filtered texts; the same object if nothing changed. Raises ContentBlockedError."""
    body = regular(answer)
    allowed = await content.answer(body, verdict)
    return answer if allowed is body else decode(write(allowed)).with_marks_of(answer)


async def filter_error(error: BaseException, content: ContentFilter, verdict: Verdict) -> None:
    """Filter what ``error`` contains of an answer; remove all of it if it is blocked."""
    seen: BaseException | None = error
    while isinstance(seen, APIError):
        try:
            if isinstance(seen.partial, Message):
                seen.partial = await filtered(seen.partial, decode_message, content, verdict)
            elif seen.partial is not None:
                seen.partial = await filtered(seen.partial, decode_completion, content, verdict)
            seen.received_text = await content.output(seen.received_text, verdict)
            seen.body = await content.answer(seen.body, verdict)
            seen.message = content.built_in(seen.message, verdict)
        except ContentBlockedError as blocked:
            seen.partial, seen.received_text, seen.body, seen.message = None, "", None, blocked.message
        seen.args = (seen.message,)
        seen = seen.__cause__


class StreamFilter(Protocol):
    """Releases the chunks of a stream once the filter has passed them."""

    def __init__(self, content: ContentFilter, verdict: Verdict) -> None: ...

    async def pass_on(self, chunks: list[Any]) -> None:
        """Replace ``chunks`` by those that may be yielded now. Raises ContentBlockedError."""
        ...

    def rewrite(self, answer: Any) -> Any:
        """Return ``answer``, assembled from the raw chunks, with the filtered texts."""
        ...


class ChoiceTexts:
    """Filters a stream of chunks with ``choices`` in place and keeps the filtered texts."""

    def __init__(self, content: ContentFilter, verdict: Verdict) -> None:
        self._content = content
        self._verdict = verdict
        self._texts: dict[tuple[int, str], _Text] = {}

    async def pass_on(self, chunks: list[Any]) -> None:
        """Replace the pieces in ``chunks`` by those that may be yielded now. Raises ContentBlockedError."""
        for chunk in chunks:
            if isinstance(chunk, ChatCompletionChunk):
                for choice in chunk.choices:
                    await self._chat(choice)
                if chunk.undeclared is not None:
                    await self._undeclared(chunk.undeclared)
            elif isinstance(chunk, Completion):
                for piece in chunk.choices:
                    text = await self._let_out(piece.index, "text", piece.text, last=piece.finish_reason is not None)
                    piece.text, piece.logprobs = text or "", None
                    piece._origin = None  # noqa: SLF001
            chunk._wire = b""  # noqa: SLF001

    def rewrite(self, answer: Any) -> Any:
        """See ``StreamFilter.rewrite``."""
        further = further_of(answer) if isinstance(answer, ChatCompletion) and answer._wire else None  # noqa: SLF001
        answer._wire = b""  # noqa: SLF001
        if answer.usage is not None:
            answer.usage = answer.usage.detached()
        if isinstance(answer, ChatCompletion):
            for choice in answer.choices:
                message, came = choice.message, (choice.message.content, choice.message.reasoning_content)
                message.content = self._let_out_of(choice.index, "content", message.content)
                message.reasoning_content = self._let_out_of(choice.index, "reasoning", message.reasoning_content)
                for call in message.tool_calls or ():
                    function = call.function
                    function.name = self._content.built_in(function.name, self._verdict)
                    function.arguments = self._let_out_of(choice.index, f"call {call.index}", function.arguments) or ""
                if (message.content, message.reasoning_content) != came:
                    choice.logprobs = None
                choice._origin = message._origin = None  # noqa: SLF001
            if further is not None:
                # Filtered as a whole, because a secret may be split over pieces.
                allowed, places = copied(further)
                for place in places:
                    place.put(self._content.built_in(place.text, self._verdict))
                return rewritten(answer, allowed)
        elif isinstance(answer, Completion):
            for piece in answer.choices:
                text = self._let_out_of(piece.index, "text", piece.text) or ""
                if text != piece.text:
                    piece.text, piece.logprobs = text, None
                piece._origin = None  # noqa: SLF001
        return answer

    async def _undeclared(self, came: ChunkFields) -> None:
        """Filter undeclared fields, piece by piece. Raises ContentBlockedError."""
        came.fields = await self._content.answer(came.fields, self._verdict)
        for choice in came.choices:
            choice.fields = await self._content.answer(choice.fields, self._verdict)
            choice.delta = await self._content.answer(choice.delta, self._verdict)
            choice.blocks = await self._content.answer(choice.blocks, self._verdict)
            for call in choice.calls:
                call.fields = await self._content.answer(call.fields, self._verdict)
                call.function = await self._content.answer(call.function, self._verdict)

    async def _chat(self, choice: ChunkChoice) -> None:
        delta, last = choice.delta, choice.finish_reason is not None
        # logprobs repeat the text, ahead of what is held back; the complete answer keeps them.
        choice.logprobs = None
        # Reasoning ends when the answer begins; what is held back of it must not come later.
        reasoning_over = last or bool(delta.content or delta.tool_calls)
        delta.reasoning_content = await self._let_out(
            *(choice.index, "reasoning", delta.reasoning_content),
            last=reasoning_over,
        )
        delta.content = await self._let_out(choice.index, "content", delta.content, last=last)
        for call in delta.tool_calls or ():
            if call.function is not None:
                if call.function.name:
                    call.function.name = self._content.built_in(call.function.name, self._verdict)
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
        out = ""
        if piece:
            # Reasoning may continue after a piece of the answer.
            text.ended = False
            out = text.hold.push(piece)
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
    """State of one text of a stream."""

    __slots__ = ("ended", "hold", "pieces")

    def __init__(self, hold: HoldBack) -> None:
        self.hold = hold
        self.pieces: list[str] = []
        self.ended = False


class NoTexts:
    """Null filter for audio."""

    def __init__(self, content: ContentFilter, verdict: Verdict) -> None: ...

    async def pass_on(self, chunks: list[Any]) -> None:
        """Pass everything."""

    def rewrite(self, answer: Any) -> Any:
        """See ``StreamFilter.rewrite``."""
        return answer


PASSINGS: Final[dict[type[AnswerStream[Any, Any]], type[StreamFilter]]] = {
    ChatCompletionStream: ChoiceTexts,
    CompletionStream: ChoiceTexts,
    ResponseStream: ResponseTexts,
    MessageStream: MessageTexts,
    AudioStream: NoTexts,
}


def passing_for(stream: AnswerStream[Any, Any], content: ContentFilter, verdict: Verdict) -> StreamFilter:
    """Return the filter for ``stream``. Raises KeyError for a stream type without a filter."""
    return PASSINGS[type(stream)](content, verdict)
