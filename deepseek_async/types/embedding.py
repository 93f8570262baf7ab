"""Embeddings. Names follow openai-python."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterator

import msgspec

from deepseek_async.types.answer import TokenAnswer
from deepseek_async.types.answer_part import LinkedPart
from deepseek_async.types.usage import CompletionUsage


class Embedding(LinkedPart):
    """Embedding vector of one input."""

    index: int = 0
    object: str = "embedding"
    _sent: list[float] | str = msgspec.field(default_factory=list, name="embedding")

    @property
    def embedding(self) -> list[float]:
        """The vector; base64 is decoded on first access."""
        if isinstance(self._sent, str):
            # Little-endian 32-bit floats, as sent by OpenAI.
            numbers = array("f", base64.b64decode(self._sent))
            if sys.byteorder == "big":
                numbers.byteswap()
            self._sent = numbers.tolist()
        return self._sent

    def __repr__(self) -> str:
        return f"Embedding(index={self.index}, embedding=<{len(self.embedding)} numbers>)"


class CreateEmbeddingResponse(TokenAnswer):
    """Vectors of all inputs, in order; iterable."""

    id: str = ""
    """Empty if the server sends none."""
    object: str = "list"
    data: list[Embedding] = []
    model: str = ""
    usage: CompletionUsage | None = None

    def __iter__(self) -> Iterator[list[float]]:
        return (entry.embedding for entry in self.data)

    def is_whole(self) -> bool:
        return bool(self.data)
