"""Streamed speech: an asynchronous iterator of bytes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from deepseek_async.call.exchange import Exchange
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.stream.answer import AnswerStream
from deepseek_async.codec.audio import AudioReader
from deepseek_async.codec.reader import StreamReader
from deepseek_async.errors import APIError, APIStatusError, StreamInterruptedError
from deepseek_async.files.replacement import replaced
from deepseek_async.pricing.prices import PriceTable
from deepseek_async.process.worker_threads import FILE_THREADS
from deepseek_async.types import FeeCharge, SpokenText
from deepseek_async.types.fee import SPEECH_CHARACTERS


class AudioStream(AnswerStream[bytes, SpokenText]):
    """Asynchronous iterator over the audio; use it in ``async with``.

    A fault before the first byte is retried; after it the iteration raises StreamInterruptedError. It ends normally
    only if the service marked the end: truncated audio is an error.
    """

    __slots__ = ("_prices", "_result")
    _reader_type = AudioReader

    def __init__(self, call: Attempts, exchange: Exchange, prices: PriceTable) -> None:
        super().__init__(call, exchange)
        self._prices = prices
        self._result: SpokenText | None = None

    def _read_from(self, exchange: Exchange, reader: StreamReader[bytes, SpokenText]) -> None:
        super()._read_from(exchange, reader)
        assert isinstance(reader, AudioReader)  # noqa: S101  the reader type of this stream
        request = self._call.request
        texts = request.outgoing.texts
        most = (request.fees or {}).get(SPEECH_CHARACTERS, 0)
        reader.characters = (lambda: most) if texts is None else (lambda: texts.characters)
        said = exchange.response.headers.get("content-type", "").partition(";")[0].strip().lower()
        reader.in_words = said.startswith("text/") or said.endswith("json")
        reader.wav = texts is None and request.parameters.get("format", "wav") == "wav"

    @property
    def result(self) -> SpokenText:
        """Cost of the complete audio. Raises DeepSeekError before the end."""
        if self._result is None:
            self._result = result = self._whole()
            used, rate = result.tokens_used(), self._prices.rate(self._call.model, self._call.sent_at or time.time())
            if used is not None and rate is not None:
                result.fees = rate.fees_of(used)
        return self._result

    @property
    def fees(self) -> tuple[FeeCharge, ...]:
        """Fees billed for the audio. Raises DeepSeekError before the end."""
        return self.result.fees

    @property
    def finish(self) -> dict[str, Any] | None:
        """Raw last message of a WebSocket; None over HTTP and before the end."""
        return getattr(self._exchange.response, "finish", None)

    async def write_to(self, path: str | os.PathLike[str], *, force: bool = False) -> SpokenText:
        """Write the audio to ``path`` atomically, once it is complete, and return its cost.

        Raises ConfigurationError if the file exists, unless ``force``, which overwrites it.
        """
        async with self:
            with replaced(Path(path), force=force) as file:
                async for piece in self:
                    await FILE_THREADS.run(file.write, piece)
        return self.result

    def _interrupted(self, failure: APIError) -> APIError:
        self._call.given_up(failure)
        if isinstance(failure, APIStatusError):
            return failure
        interrupted = StreamInterruptedError(
            f"audio interrupted after {self._reader.size:,} bytes: {failure.message}",
            request_id=failure.request_id,
            attempts=failure.attempts,
            billed_attempts=failure.billed_attempts,
            retryable=False,
        )
        interrupted.__cause__ = failure
        return interrupted
