"""Content filter for the texts of a streamed response.

A response repeats every text: in pieces, complete when it ends, in its item, and in the final answer. The filtered
pieces replace all the other copies.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from deepseek_async.codec.repair import regular
from deepseek_async.codec.responses import ENDINGS, ResponseReader, decode_event
from deepseek_async.content import ContentFilter, HoldBack, Verdict
from deepseek_async.types import Response
from deepseek_async.types.json_text import write

_PIECE: Final = ".delta"

_Key = tuple[str, int, int]
"""Kind of text, item index, and part index within the item."""


class _Text(msgspec.Struct):
    """One text, received in pieces."""

    hold: HoldBack
    last: dict[str, Any]
    """The last piece, as sent by the server."""
    came: list[str] = []
    let_out: list[str] = []


class ResponseTexts:
    """Implements ``StreamFilter``."""

    def __init__(self, content: ContentFilter, verdict: Verdict) -> None:
        self._content = content
        self._verdict = verdict
        self._open: dict[_Key, _Text] = {}
        self._known: dict[str, str] = {}
        """Completed texts, as filtered."""
        self._added = 0
        """Number of inserted events; added to all later sequence numbers."""
        self._shown = ResponseReader()

    async def pass_on(self, chunks: list[Any]) -> None:
        """See ``StreamFilter.pass_on``."""
        passed = []
        for event in chunks:
            body = regular(event)
            if event.type.endswith(_PIECE) and isinstance(body.get("delta"), str):
                passed.append(await self._piece(event.type, body))
            else:
                passed += await self._end_texts(event.type, body)
                passed.append(await self._content.answer(body, self._verdict, self._known))
        chunks[:] = [decode_event(write(body)) for body in passed]
        for event in chunks:
            self._shown.take(event)

    def rewrite(self, answer: Response) -> Response:
        """See ``StreamFilter.rewrite``."""
        return msgspec.structs.replace(self._shown.answer()).with_marks_of(answer)

    async def _piece(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        key = _key(kind, body)
        text = self._open.get(key)
        if text is None:
            text = self._open[key] = _Text(HoldBack(self._content, self._verdict), body)
        text.came.append(body["delta"])
        text.last = self._numbered(body)
        return await self._let_out(text, text.hold.push(body["delta"]))

    async def _end_texts(self, kind: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Release what was held back of the texts that end with this event."""
        rests = []
        for key in [key for key in self._open if _ends(kind, body, key)]:
            text = self._open.pop(key)
            rest = await self._let_out(text, text.hold.end())
            if rest["delta"]:
                # Takes this event's number; this event takes the next.
                rests.append(self._numbered({**rest, "sequence_number": body.get("sequence_number", 0)}))
                self._added += 1
            self._known["".join(text.came)] = "".join(text.let_out)
        self._numbered(body)
        return rests

    async def _let_out(self, text: _Text, piece: str) -> dict[str, Any]:
        if piece:
            piece = await self._content.own_checks(piece, self._verdict)
            text.let_out.append(piece)
        # logprobs repeat the text, ahead of what is held back.
        return {name: value for name, value in text.last.items() if name != "logprobs"} | {"delta": piece}

    def _numbered(self, body: dict[str, Any]) -> dict[str, Any]:
        if self._added and isinstance(body.get("sequence_number"), int):
            body["sequence_number"] += self._added
        return body


def _key(kind: str, body: dict[str, Any]) -> _Key:
    part = body.get("content_index", body.get("summary_index"))
    return kind.removesuffix(_PIECE), body.get("output_index") or 0, part or 0


def _ends(kind: str, body: dict[str, Any], key: _Key) -> bool:
    """Whether the text of ``key`` ends with an event of this ``kind``."""
    if kind in ENDINGS:
        return True
    if kind == "response.output_item.done":
        return key[1] == (body.get("output_index") or 0)
    return kind == f"{key[0]}.done" and _key(kind, body)[1:] == key[1:]
