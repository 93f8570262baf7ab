"""Checks of recordings by their content: 16-bit PCM in WAV, Opus in Ogg (DeepSeek docs, ASR guide). Pure."""

from __future__ import annotations

import struct
from math import ceil
from typing import Final

from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import Content, FileOnDisk

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_SECONDS: Final = 120
_RATES: Final = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_OPUS_RATE: Final = 48_000
"""Sample rate of the positions in an Opus stream, whatever its source (RFC 7845)."""
_LOOKED_AT: Final = 128 * 1024
"""Bytes at either end that must contain a header, or the last page: an Ogg page has at most 65,307 (RFC 3533)."""
_PCM: Final = frozenset({1, 0xFFFE})
"""WAVE_FORMAT_PCM and WAVE_FORMAT_EXTENSIBLE."""
_SOURCE: Final = "(DeepSeek docs, ASR guide)"


def seconds_of(name: str, content: Content) -> int:
    """Return the billed seconds of a recording. Raises InvalidRequestError for one that is refused."""
    start, end = (
        (content.start(_LOOKED_AT), content.end(_LOOKED_AT))
        if isinstance(content, FileOnDisk)
        else (content[:_LOOKED_AT], content[-_LOOKED_AT:])
    )
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        seconds = _of_wav(name, start, len(content))
    elif start[:4] == b"OggS" and b"OpusHead" in start[:512]:
        seconds = _of_ogg(start, end)
    else:
        raise InvalidRequestError(f"{name} must contain 16-bit PCM in WAV, or Opus in Ogg {_SOURCE}")
    if seconds > MAX_SECONDS:
        raise InvalidRequestError(f"{name} must be at most {MAX_SECONDS} s long, got {seconds:.1f} s {_SOURCE}")
    return max(1, ceil(seconds))


def _of_wav(name: str, start: bytes, size: int) -> float:
    form: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(start):
        kind, length = start[at : at + 4], int.from_bytes(start[at + 4 : at + 8], "little")
        if kind == b"fmt " and at + 24 <= len(start):
            coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", start, at + 8)
            form = coding, channels, rate, bits
        elif kind == b"data":
            if form is None:
                break
            _check(name, *form)
            # Interrupted recorders, and those that write to a pipe, leave an invalid length.
            return float(min(length, size - at - 8)) / (form[1] * form[2] * 2)
        at += 8 + length + length % 2
    raise InvalidRequestError(f"{name} has no valid WAV header {_SOURCE}")


def _check(name: str, coding: int, channels: int, rate: int, bits: int) -> None:
    if coding not in _PCM or bits != 16:
        raise InvalidRequestError(f"{name} must be 16-bit PCM, got coding {coding} with {bits} bits {_SOURCE}")
    if rate not in _RATES:
        allowed = ", ".join(f"{each:,}" for each in _RATES)
        raise InvalidRequestError(f"{name} must have a sample rate of {allowed} Hz, got {rate:,} {_SOURCE}")
    if channels not in {1, 2}:
        raise InvalidRequestError(f"{name} must be mono or stereo, got {channels} channels {_SOURCE}")


def _of_ogg(start: bytes, end: bytes) -> float:
    """Return the duration by the position of the last page; the maximum if none is found."""
    page = end.rfind(b"OggS")
    if page < 0 or page + 14 > len(end):
        return float(MAX_SECONDS)
    head = start.find(b"OpusHead")
    skipped = struct.unpack_from("<H", start, head + 10)[0] if head + 12 <= len(start) else 0
    samples = struct.unpack_from("<q", end, page + 6)[0]
    return max(0.0, (samples - skipped) / _OPUS_RATE) if samples >= 0 else float(MAX_SECONDS)
