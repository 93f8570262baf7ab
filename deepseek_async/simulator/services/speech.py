"""Text to speech, `/v1/tools/tts`: one tone per character. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from deepseek_async.simulator.services.request import WrongRequestError, one_of, text

# DeepSeek docs, TTS guide.
MAX_CHARACTERS = 10_000
MAX_BYTES = 64 * 1024
RATE = 24_000
VOICES = ("stella", "tide")
_SAMPLES_OF_A_CHARACTER = 480  # 20 ms
_OF_UNKNOWN_LENGTH = 0xFFFFFFFF


def billed(said: str) -> int:
    """Return the billed characters; a Chinese character counts as two."""
    return sum(2 if "\u4e00" <= letter <= "\u9fff" else 1 for letter in said)


def asked(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return text and format of an HTTP request."""
    fields = dict(body)
    said = text(fields, "text")
    if not said.strip() or billed(said) > MAX_CHARACTERS:
        raise WrongRequestError(f"Invalid 'text': expected 1 to {MAX_CHARACTERS} characters")
    one_of(fields, "voice_id", VOICES, VOICES[0])
    return said, one_of(fields, "format", ("wav", "pcm"), "wav")


def asked_by_socket(query: Mapping[str, str]) -> str:
    """Return the format of a WebSocket request."""
    fields = dict(query)
    one_of(fields, "voice_id", VOICES, VOICES[0])
    return one_of(fields, "format", ("pcm", "opus"), "pcm")


def header() -> bytes:
    """Return the header of a streamed WAV file, whose length is unknown."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    unknown = struct.pack("<I", _OF_UNKNOWN_LENGTH)
    return b"RIFF" + unknown + b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + unknown


def audio(said: str) -> Iterator[bytes]:
    """Yield one piece per character."""
    for letter in said:
        sample = struct.pack("<h", ord(letter) % 30_000 + 1)
        yield sample * _SAMPLES_OF_A_CHARACTER
