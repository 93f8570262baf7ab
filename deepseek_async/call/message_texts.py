"""Content filter for the texts of a streamed message.

The texts of a block arrive in pieces and end with the block, so what the filter holds back is released in one more
piece before the event that ends the block. Complete blocks and unknown events are filtered as they are.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from deepseek_async.codec.messages import MessageReader, decode_event
from deepseek_async.codec.repair import regular
from deepseek_async.content import ContentFilter, HoldBack, Verdict
from deepseek_async.types import Message
from deepseek_async.types.json_text import write

_DELTA: Final = "content_block_delta"
_LAST: Final = frozenset({"message_delta", "message_stop"})
_NO_TEXTS: Final = frozenset({"type", "signature"})

_Body = dict[str, Any]


class _Text(msgspec.Struct):
    """One text, received in pieces."""

    hold: HoldBack
    last: _Body
    """The event of the last piece, without its delta."""
    kind: Any
    """``type`` of that delta."""


class MessageTexts:
    """Implements ``StreamFilter``. Filters every string of a delta, also of an unknown kind."""

    def __init__(self, content: ContentFilter, verdict: Verdict) -> None:
        self._content = content
        self._verdict = verdict
        self._open: dict[tuple[Any, str], _Text] = {}
        """Keyed by block and by the field of the pieces."""
        self._shown = MessageReader()

    async def pass_on(self, chunks: list[Any]) -> None:
        """See ``StreamFilter.pass_on``."""
        passed: list[_Body] = []
        for event in chunks:
            body = regular(event)
            delta = body.get("delta")
            if event.type == _DELTA and isinstance(delta, dict):
                if delta.get("type") == "signature_delta":
                    passed += await self._end_texts(event.index)
                passed.append(await self._pieces(event.index, body, delta))
                continue
            if event.type == "content_block_stop":
                passed += await self._end_texts(event.index)
            elif event.type in _LAST:
                passed += await self._end_texts(None)
            passed.append(await self._content.answer(body, self._verdict))
        chunks[:] = [decode_event(write(body)) for body in passed]
        for event in chunks:
            self._shown.take(event)

    def rewrite(self, answer: Message) -> Message:
        """See ``StreamFilter.rewrite``."""
        return self._shown.answer().with_marks_of(answer)

    async def _pieces(self, index: Any, body: _Body, delta: _Body) -> _Body:
        around: _Body = {name: value for name, value in body.items() if name != "delta"}
        passed: _Body = {}
        for name, value in delta.items():
            if isinstance(value, str) and name not in _NO_TEXTS:
                text = self._open.get((index, name))
                if text is None:
                    text = self._open[index, name] = _Text(HoldBack(self._content, self._verdict), around, None)
                text.last, text.kind = around, delta.get("type")
                passed[name] = await self._checked(text.hold.push(value))
            else:
                passed.update(await self._content.answer({name: value}, self._verdict))
        allowed: _Body = await self._content.answer(around, self._verdict)
        return {**allowed, "delta": passed}

    async def _end_texts(self, index: Any) -> list[_Body]:
        """Release what was held back of the texts of the block at ``index``; of all texts if it is None."""
        rests = []
        for key in [key for key in self._open if index in (None, key[0])]:
            text = self._open.pop(key)
            rest = await self._checked(text.hold.end())
            if rest:
                rests.append({**text.last, "delta": {"type": text.kind, key[1]: rest}})
        return rests

    async def _checked(self, piece: str) -> str:
        return await self._content.own_checks(piece, self._verdict) if piece else ""
