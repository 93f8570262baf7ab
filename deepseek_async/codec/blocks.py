"""The blocks of a message: in classes of their own, and put together from deltas. Pure.

What nobody knows stays: a block of an unknown type, an unknown field of a known one, and what an unknown delta adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.codec.pieces import Pieces
from deepseek_async.codec.repair import repaired
from deepseek_async.types import ContentBlock, EventDelta
from deepseek_async.types.json_text import read, write
from deepseek_async.types.message import BLOCKS
from deepseek_async.types.part import fields_of

_WHOLE_TEXTS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Kinds of delta, and the field of a block that they go on with."""
_INPUT: Final = "input_json_delta"
_CITATION: Final = "citations_delta"
_KNOWN_DELTAS: Final = frozenset({*_WHOLE_TEXTS, _INPUT, _CITATION})


def block_of(sent: Any) -> ContentBlock:
    """``sent`` as a block of its type; every field that the server sent stays with it."""
    name = sent.get("type")
    kind = BLOCKS.get(name, ContentBlock) if isinstance(name, str) else ContentBlock
    try:
        block = msgspec.convert(sent, kind)
    except (ValueError, RecursionError):
        try:
            block = msgspec.convert(repaired(sent, kind, []), kind, strict=False)
        except (ValueError, RecursionError):
            block = ContentBlock(type=str(name))
    block._origin = (write(sent), ())  # noqa: SLF001
    return block


class GrowingBlock(msgspec.Struct, gc=False):
    """A block that is still being received."""

    sent: dict[str, Any]
    """As it began, and what came to it that is no text."""
    field: str
    """The one that has most of it: its text, or its thoughts."""
    latest: list[str]
    """Pieces of that one which have just come: on the hot path, a list within reach."""
    main: Pieces
    others: dict[str, Pieces] = {}
    """What else came in pieces, by field."""
    open: bool = True

    @property
    def size(self) -> int:
        return self.main.size + sum(pieces.size for pieces in self.others.values())

    def add(self, name: str, piece: str) -> None:
        """Go on with a text."""
        if name == self.field:
            self.main.add(piece)
            return
        pieces = self.others.get(name)
        if pieces is None:
            pieces = self.others[name] = Pieces()
        pieces.add(piece)

    def goes_on(self, delta: EventDelta) -> bool:
        """Go on with text, thoughts or an input, if ``delta`` brings them and nothing that nobody knows."""
        if delta.text:
            if self.field != "text" or delta.type != "text_delta":
                return False
            self.latest.append(delta.text)
        elif delta.thinking:
            if self.field != "thinking" or delta.type != "thinking_delta":
                return False
            self.latest.append(delta.thinking)
        elif delta.partial_json and delta.type == _INPUT:
            self.add("partial_json", delta.partial_json)
        else:
            return False
        return True

    def merge(self, delta: Mapping[str, Any]) -> None:
        """Take in a delta of any kind. One that nobody knows changes no field that somebody does."""
        kind = delta.get("type")
        known = isinstance(kind, str) and kind in _KNOWN_DELTAS
        own = _WHOLE_TEXTS.get(str(kind)) if known else None
        typed = BLOCKS.get(str(self.sent.get("type")))
        for name, value in delta.items():
            if name == own or (known and name == "partial_json" and kind == _INPUT):
                if isinstance(value, str):
                    self.add(name, value)
            elif known and kind == _CITATION and name == "citation":
                self.sent["citations"] = [*(self.sent.get("citations") or ()), value]
            elif name != "type" and (typed is None or name not in fields_of(typed)):
                self._extend(name, value)

    def _extend(self, name: str, value: Any) -> None:
        so_far = self.sent.get(name)
        if isinstance(value, str) and (isinstance(so_far, str) or name not in self.sent):
            self.sent.setdefault(name, "")
            self.add(name, value)
        elif isinstance(value, list) and isinstance(so_far, list):
            self.sent[name] = so_far + value
        elif isinstance(value, dict) and isinstance(so_far, dict):
            self.sent[name] = {**so_far, **value}
        else:
            self.sent[name] = value
            self.others.pop(name, None)

    def finished(self) -> dict[str, Any]:
        """All of it that has come."""
        made = dict(self.sent)
        for name, pieces in ((self.field, self.main), *self.others.items()):
            if name == "partial_json":
                made["input"] = _input(pieces.text)
            elif pieces:
                before = made.get(name)
                made[name] = (before if isinstance(before, str) else "") + pieces.text
        return made


def _input(text: str) -> Any:
    try:
        return read(text.encode())
    except (ValueError, RecursionError):
        return text  # cut off, or spelled wrongly by the model


def growing_block(sent: dict[str, Any]) -> GrowingBlock:
    latest: list[str] = []
    field = "thinking" if sent.get("type") == "thinking" else "text"
    return GrowingBlock(sent, field, latest, Pieces(latest))
