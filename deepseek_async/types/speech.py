"""What a text that was read aloud cost. Fields are ours: the answer itself is audio."""

from __future__ import annotations

from deepseek_async.types.fee import SPEECH_CHARACTERS, PaidAnswer


class SpokenText(PaidAnswer):
    """The bill of one speech."""

    characters: int = 0
    """Billed characters of the text; a Chinese one counts as two."""
    audio_bytes: int = 0

    def units(self) -> dict[str, int]:
        """Paid by the character."""
        return {SPEECH_CHARACTERS: self.characters}
