"""Content blocks of a message: typed, and assembled from deltas. Pure.

Unknown content is kept: blocks of unknown type, unknown fields of known blocks, and unknown deltas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.codec.repair import repaired
from deepseek_async.codec.text_buffer import Pieces
from deepseek_async.types import ContentBlock, EventDelta
from deepseek_async.types.answer_part import fields_of
from deepseek_async.types.json_text import read, write
from deepseek_async.types.message import BLOCKS

_WHOLE_TEXTS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Block field that each kind of delta extends."""
_INPUT: Final = "input_json_delta"
_CITATION: Final = "citations_delta"
_KNOWN_DELTAS: Final = frozenset({*_WHOLE_TEXTS, _INPUT, _CITATION})


def block_of(sent: Any) -> ContentBlock:
    """Return ``sent`` as a typed block that keeps every field of the server."""
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
    """A block still being received."""

    sent: dict[str, Any]
    """The block as it began, plus what was added other than text."""
    field: str
    """Name of its main field: text or thinking."""
    latest: list[str]
    """Latest pieces of that field; a plain list, because this is the hot path."""
    main: Pieces
    others: dict[str, Pieces] = {}
    """Pieces of other fields, by name."""
    open: bool = True

    @property
    def size(self) -> int:
        return self.main.size + sum(pieces.size for pieces in self.others.values())

    def add(self, name: str, piece: str) -> None:
        """Extend a text."""
        if name == self.field:
            self.main.add(piece)
            return
        pieces = self.others.get(name)
        if pieces is None:
            pieces = self.others[name] = Pieces()
        pieces.add(piece)

    def goes_on(self, delta: EventDelta) -> bool:
        """Apply a delta of text, thinking or input; False, unchanged, if ``delta`` contains anything unknown."""
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
        """Apply a delta of any kind. An unknown one does not change declared fields."""
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
        """Return everything received so far."""
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
        return text  # truncated, or invalid JSON from the model


def growing_block(sent: dict[str, Any]) -> GrowingBlock:
    latest: list[str] = []
    field = "thinking" if sent.get("type") == "thinking" else "text"
    return GrowingBlock(sent, field, latest, Pieces(latest))
