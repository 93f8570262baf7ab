"""Limits of the stand-alone tools of an account, separate from those of its models."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.errors import ConfigurationError

SEARCH_PATH: Final = "/v1/tools/search"
FETCH_PATH: Final = "/v1/tools/fetch"
OCR_PATH: Final = "/v1/tools/ocr"
SPEECH_PATH: Final = "/v1/tools/tts"
TRANSCRIBE_PATH: Final = "/v1/tools/asr"

_BESIDE_A_RATE: Final = 500
"""Concurrent requests of a rate-limited tool; its answers usually take at most five seconds."""


class ToolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of ``client.tools``; the defaults are DeepSeek's account limits as measured by third parties.

    Raises ConfigurationError, naming the field, for an invalid limit.
    """

    searches_per_second: float = 100.0
    fetches_per_second: float = 25.0
    ocr_at_once: int = 50
    speech_at_once: int = 50
    transcriptions_at_once: int = 50

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            whole = name.endswith("at_once")
            fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not fits or not 0 < value < float("inf"):
                kind = "an integer of at least 1" if whole else "a number above 0"
                raise ConfigurationError(f"tool_limits.{name} must be {kind}, got {value!r}")

    def per_second(self, path: str) -> float | None:
        """Internal: return requests per second of the tool at ``path``; None if it has no rate limit."""
        return {SEARCH_PATH: self.searches_per_second, FETCH_PATH: self.fetches_per_second}.get(path)

    def at_once(self, path: str) -> int | None:
        """Internal: return concurrent requests of the tool at ``path``; None if there is no such tool."""
        return {
            SEARCH_PATH: _BESIDE_A_RATE,
            FETCH_PATH: _BESIDE_A_RATE,
            OCR_PATH: self.ocr_at_once,
            SPEECH_PATH: self.speech_at_once,
            TRANSCRIBE_PATH: self.transcriptions_at_once,
        }.get(path)


DEFAULT_TOOL_LIMITS: Final = ToolLimits()
