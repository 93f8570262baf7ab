"""Reader of streamed audio, or of an error sent instead. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deepseek_async.codec.reader import PREFACE_BYTES, ReaderState
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.types import CompletionUsage, SpokenText

_WAV: Final = b"RIFF"
_ERROR: Final = b'{"error'
"""Start of an error object sent with status 200; audio samples do not begin like this."""


class AudioReader(ReaderState, gc=False, eq=False):
    """Passes all bytes on. Only the transport can tell whether the audio is complete; truncated audio is an error."""

    characters: Callable[[], int] = int
    """Returns the billed characters of the text so far."""
    wav: bool = False
    """Whether the audio must begin with a WAV header."""
    in_words: bool = False
    """Whether the Content-Type is text: then the body is an error, however it begins."""
    size: int = 0
    """Bytes received so far."""

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
        """Whether a body that begins with ``began`` is audio, as far as known."""
        if self.wav or self.in_words:
            return not self.in_words and began.startswith(_WAV)
        return bool(began) and not _ERROR.startswith(began)

    def answer(self) -> SpokenText:
        """See ``StreamReader.answer``."""
        return SpokenText(characters=self.characters(), audio_bytes=self.size)

    @property
    def usage(self) -> CompletionUsage | None:
        """None: not reported; the text is counted before it is sent."""
        return None

    @property
    def model(self) -> str | None:
        """None: not reported."""
        return None

    @property
    def refused(self) -> bool:
        """False: a text is refused before synthesis."""
        return False

    @property
    def whole(self) -> bool:
        """False: audio has no end marker; the header of a streamed WAV file has no valid length."""
        return False

    def fault(self, *, progressed: bool) -> APIError | None:
        """See ``StreamReader.fault``."""
        return None if progressed else APIResponseValidationError("the server sent no audio", reason="blank")

    def leave_in(self, failure: APIError) -> None:
        """Do nothing: all audio was already yielded."""

    def ends(self, chunk: bytes) -> bool:  # noqa: ARG002
        """False: no piece marks the end."""
        return False

    def says_nothing(self, chunk: bytes) -> bool:  # noqa: ARG002
        """False: every piece is content."""
        return False
