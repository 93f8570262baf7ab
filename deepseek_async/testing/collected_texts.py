"""Texts for a WebSocket, read to their end before they are sent, so that they identify the request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from deepseek_async.errors import DeepSeekError, StreamInterruptedError
from deepseek_async.transport.protocol import TextFeed


class CollectedTexts:
    """A TextFeed over texts that are all there."""

    def __init__(self, said: list[str], characters: int) -> None:
        self.said: Final = said
        self.begun = True
        self.characters = characters

    async def frames(self) -> AsyncIterator[str]:
        """See ``TextFeed``."""
        for text in self.said:
            yield text


async def collected(texts: TextFeed) -> CollectedTexts:
    """Read ``texts`` to their end. Raises StreamInterruptedError if their iterator fails."""
    try:
        said = [text async for text in texts.frames()]
    except DeepSeekError:
        raise
    except Exception as error:
        message = f"the iterator of texts raised {type(error).__name__}; see __cause__"
        raise StreamInterruptedError(message, retryable=False) from error
    return CollectedTexts(said, texts.characters)
