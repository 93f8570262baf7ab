"""Audio as it comes: bytes of one recording, or what a server says in the place of it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deepseek_async.codec.reader import PREFACE_BYTES, ReaderState
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.types import CompletionUsage, SpokenText

_WAV: Final = b"RIFF"
_ERROR: Final = b'{"error'
"""How an error object begins that comes with status 200; no recording begins with such samples."""


class AudioReader(ReaderState, gc=False, eq=False):
    """Hands every byte on. Whether it is all of the audio only the connection knows: a cut one is none."""

    characters: Callable[[], int] = int
    """How many the text has so far, as they are billed."""
    wav: bool = False
    """Whether it must begin as a WAV file does."""
    in_words: bool = False
    """Whether the server says that it is a text: samples may begin in any way, and an error in others than known."""
    size: int = 0
    """Bytes so far."""

    def feed(self, block: bytes) -> list[bytes]:
        """See ``StreamReader.feed``."""
        self.progressed = False
        preface = self.preface
        if preface is not None:
            preface += block
            if not self._is_audio(bytes(preface[: len(_ERROR)])):
                del preface[PREFACE_BYTES:]
                return []
            block, self.preface = bytes(preface), None
        self.size += len(block)
        self.progressed = bool(block)
        return [block] if block else []

    def _is_audio(self, began: bytes) -> bool:
        """Whether what ``began`` like this is audio, as far as that can be told yet."""
        if self.wav or self.in_words:
            return not self.in_words and began.startswith(_WAV)
        return bool(began) and not _ERROR.startswith(began)

    def answer(self) -> SpokenText:
        """See ``StreamReader.answer``."""
        return SpokenText(characters=self.characters(), audio_bytes=self.size)

    @property
    def usage(self) -> CompletionUsage | None:
        """No server says; the text was counted before it was sent."""
        return None

    @property
    def model(self) -> str | None:
        """None has a name."""
        return None

    @property
    def refused(self) -> bool:
        """Audio says nothing of it: a text is refused before it is read."""
        return False

    @property
    def whole(self) -> bool:
        """A recording has no end of its own: the header of a streamed WAV file has no true length."""
        return False

    def fault(self, *, progressed: bool) -> APIError | None:
        """See ``StreamReader.fault``."""
        return None if progressed else APIResponseValidationError("the server sent no audio at all", reason="blank")

    def leave_in(self, failure: APIError) -> None:
        """What had arrived was handed out."""

    def ends(self, chunk: bytes) -> bool:  # noqa: ARG002
        """No piece does."""
        return False

    def says_nothing(self, chunk: bytes) -> bool:  # noqa: ARG002
        """Every piece is content."""
        return False
