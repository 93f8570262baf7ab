"""What kind of answer a line of the output holds: cut off, JSON or not. Pure."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import orjson

from deepseek_async.codec.finish_reason import known
from deepseek_async.codec.repair import repaired
from deepseek_async.types.json_text import read


class _Message(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    message: _Message | None = None


class _Body(msgspec.Struct, gc=False):
    choices: list[_Choice] = []


class _Response(msgspec.Struct, gc=False):
    body: _Body | None = None


class Answer(msgspec.Struct, gc=False):
    """The part of a line that says what kind of answer it is."""

    response: _Response | None = None

    @property
    def cut_off(self) -> bool:
        """Whether the answer ended at ``max_tokens``."""
        choice = self._choice
        return choice is not None and known(choice.finish_reason) == "length"

    @property
    def is_json(self) -> bool:
        """Whether the content is JSON."""
        choice = self._choice
        try:
            orjson.loads((choice.message.content if choice and choice.message else None) or "")
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return False
        return True

    @property
    def _choice(self) -> _Choice | None:
        body = self.response.body if self.response is not None else None
        return body.choices[0] if body is not None and body.choices else None


_decode_answer = msgspec.json.Decoder(Answer).decode


def decode_answer(line: bytes) -> Answer | None:
    """The answer in a line that ``decode_line`` has taken; None if it is not in the API's form."""
    try:
        return _decode_answer(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        with suppress(ValueError, RecursionError):
            return msgspec.convert(repaired(read(line), Answer, []), Answer)
        return None
