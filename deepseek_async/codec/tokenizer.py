"""Exact token counts, with DeepSeek's tokenizer file and the library that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepseek_async.codec.prompt import prompt_pieces
from deepseek_async.errors import ConfigurationError


class Tokenizer:
    """Counts as the API does. Made with ``from_file``."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """From a ``tokenizer.json``: DeepSeek's documentation links it on its page about token usage.

        Needs the extra ``tokens``. Raises ConfigurationError without it, or for a file that is none.
        """
        try:
            import tokenizers  # noqa: PLC0415  an extra, and half a second to import
        except ImportError:
            raise ConfigurationError(
                "exact token counts need the extra: pip install 'deepseek-async[tokens]'",
            ) from None
        try:
            made = cls(tokenizers.Tokenizer.from_file(str(path)))
            made.text_tokens("Is 1 text enough? 够了。")  # some files can be read, and encode nothing
        except Exception as error:  # noqa: BLE001  the library raises nothing narrower
            raise ConfigurationError(f"{path} cannot be read as a tokenizer: {error}") from None
        return made

    def text_tokens(self, text: str) -> int:
        """Tokens of a text by itself."""
        return len(self._encoder.encode(text, add_special_tokens=False).ids)

    def prompt_tokens(self, request: Mapping[str, Any]) -> int:
        """Tokens that the API will count for the prompt of ``request``, which is plain JSON and in order.

        Exact for text; an image counts as 1,024, the most that one takes.
        """
        total, text = 0, ""
        for piece in prompt_pieces(request):
            if isinstance(piece, str):
                text += piece
                continue
            total += piece + (self.text_tokens(text) if text else 0)
            text = ""
        return total + (self.text_tokens(text) if text else 0)
