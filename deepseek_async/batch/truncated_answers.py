"""Classification of an output line: truncated answer, JSON answer. Pure."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import orjson

from deepseek_async.batch.answer_body import AnswerBody
from deepseek_async.codec.repair import repaired
from deepseek_async.types.json_text import read, write


class _Response(msgspec.Struct, gc=False):
    body: AnswerBody | None = None


class LineAnswer(msgspec.Struct, gc=False):
    """The fields of a line needed to classify its answer."""

    response: _Response | None = None

    @property
    def cut_off(self) -> bool:
        """Whether the answer was truncated at ``max_tokens``."""
        body = self._body
        return body is not None and body.finish_reason == "length"

    @property
    def is_json(self) -> bool:
        """Whether the content is JSON."""
        body = self._body
        try:
            orjson.loads((None if body is None else body.text) or "")
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return False
        return True

    @property
    def _body(self) -> AnswerBody | None:
        return self.response.body if self.response is not None else None


_decode_answer = msgspec.json.Decoder(LineAnswer).decode


def decode_answer(line: bytes) -> LineAnswer | None:
    """Decode the answer of a line accepted by ``decode_line``; None if it is not in the API's format."""
    try:
        return _decode_answer(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        with suppress(ValueError, RecursionError):
            return _decode_answer(write(repaired(read(line), LineAnswer, [])))  # tool calls stay bytes
        return None
