"""Cost of synthesized speech. The fields are defined here: the answer itself is audio."""

from __future__ import annotations

from deepseek_async.types.fee import SPEECH_CHARACTERS, PaidAnswer


class SpokenText(PaidAnswer):
    """Cost of one speech call."""

    characters: int = 0
    """Billed characters of the text; a Chinese character counts as two."""
    audio_bytes: int = 0

    def units(self) -> dict[str, int]:
        """Internal: return the billed characters."""
        return {SPEECH_CHARACTERS: self.characters}
