"""Exact token counts with DeepSeek's tokenizer file (extra ``tokens``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepseek_async.codec.prompt import prompt_pieces
from deepseek_async.errors import ConfigurationError


class Tokenizer:
    """Counts tokens as the API does; create it with ``from_file``."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Load a ``tokenizer.json``; DeepSeek's documentation links it on its page about token usage.

        Needs the extra ``tokens``. Raises ConfigurationError without it, or for an invalid file.
        """
        try:
            import tokenizers  # noqa: PLC0415  an extra, and half a second to import
        except ImportError:
            raise ConfigurationError(
                "exact token counts need the extra: pip install 'deepseek-async[tokens]'",
            ) from None
        try:
            made = cls(tokenizers.Tokenizer.from_file(str(path)))
            made.text_tokens("Is 1 text enough? 够了。")  # some files load but encode nothing
        except Exception as error:  # noqa: BLE001  the library raises nothing narrower
            raise ConfigurationError(f"cannot load the tokenizer {path}: {error}") from None
        return made

    def text_tokens(self, text: str) -> int:
        """Return the number of tokens of a text on its own."""
        return len(self._encoder.encode(text, add_special_tokens=False).ids)

    def prompt_tokens(self, request: Mapping[str, Any]) -> int:
        """Return the number of prompt tokens that the API will count for ``request``, valid plain JSON.

        Exact for text; an image counts as 1,024, the maximum.
        """
        total, text = 0, ""
        for piece in prompt_pieces(request):
            if isinstance(piece, str):
                text += piece
                continue
            total += piece + (self.text_tokens(text) if text else 0)
            text = ""
        return total + (self.text_tokens(text) if text else 0)
