"""An output file, read by somebody who does not write it: while a run goes on, after it, years later."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from deepseek_async.batch.digests import DigestSet
from deepseek_async.batch.identity import digest
from deepseek_async.batch.line import FACTS, decode_line
from deepseek_async.errors import ConfigurationError

_NO_POSITION: Final = (1 << 63) - 1


class Usage(msgspec.Struct, gc=False):
    """Tokens as the server billed them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_cache_hit_tokens: int | None = None
    completion_tokens_details: Details | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens out of the prefix cache."""
        return self.prompt_cache_hit_tokens or 0

    @property
    def reasoning_tokens(self) -> int:
        """The part of the completion spent on reasoning."""
        return (self.completion_tokens_details.reasoning_tokens or 0) if self.completion_tokens_details else 0


class Details(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class Message(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"")


class Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    message: Message = msgspec.field(default_factory=Message)


class Body(msgspec.Struct, gc=False):
    model: str | None = None
    created: float | None = None
    choices: list[Choice] = []
    usage: Usage | None = None


class Response(msgspec.Struct, gc=False):
    status_code: int | None = None
    request_id: str | None = None
    body: Body = msgspec.field(default_factory=Body)


class Failure(msgspec.Struct, gc=False):
    code: str = "error"
    message: str = ""


class Facts(msgspec.Struct, gc=False):
    """What the run knows of the row beside the server's answer."""

    index: int | None = None
    attempts: int = 1
    started: float | None = None
    latency: float = 0.0
    cost: float | None = None
    predicted_cached_tokens: int = 0
    billed: Body | None = None
    """Model and usage of an answer that was paid for and came to nothing."""


class Line(msgspec.Struct, gc=False):
    """One line of the output, in full."""

    custom_id: str
    response: Response | None = None
    error: Failure | None = None
    facts: Facts = msgspec.field(default_factory=Facts, name=FACTS)

    @property
    def body(self) -> Body:
        """The server's answer; an empty one for a row that has none."""
        return self.response.body if self.response is not None and self.error is None else Body()

    @property
    def billed(self) -> Body:
        """The answer that had to be paid for, also where it is none; an empty one where nothing is known of any."""
        return self.body if self.facts.billed is None else self.facts.billed

    @property
    def message(self) -> Message:
        """The first choice's message."""
        choices = self.body.choices
        return choices[0].message if choices else Message()

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended."""
        choices = self.body.choices
        return choices[0].finish_reason if choices else None

    @property
    def started(self) -> float | None:
        """When its request was sent, by our clock or else by the server's; None for a copy, for which none was."""
        if not self.facts.attempts:
            return None
        return self.facts.started if self.facts.started is not None else self.body.created


_decode = msgspec.json.Decoder(Line, strict=False).decode


class Output:
    """The rows of an output file. Of several lines for one row the last one counts.

    ``read`` goes over the file once and keeps 24 bytes a row. Raises ConfigurationError for a file that cannot be
    read or holds no line of an output.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets = array("q")
        self._positions = array("q")
        self._superseded: set[int] = set()
        self.damaged = 0
        """Lines that cannot be what was written; the next run sends their rows again."""
        self.began: float | None = None
        """When the first request was sent, in seconds since 1970; None if no line says."""
        self.ended: float | None = None
        """When the last answer came."""

    def __len__(self) -> int:
        """Rows that have an end."""
        return len(self._offsets) - len(self._superseded)

    def read(self) -> None:
        """Find every line. A last line without an end is one that a run is writing, and is left out."""
        keys = array("Q")
        seen, repeated = DigestSet(), set[int]()
        offset = 0
        with self._open() as file:
            for line in file:
                if line.endswith(b"\n"):
                    row = self._line(line)
                    if row is not None:
                        key = digest(row.custom_id.encode())
                        if not seen.add(key):
                            repeated.add(key)
                        keys.append(key)
                        self._offsets.append(offset)
                        self._positions.append(_NO_POSITION if row.facts.index is None else row.facts.index)
                        self._note_time(row)
                    elif line.strip():
                        self.damaged += 1
                offset += len(line)
        if repeated:
            self._supersede(keys, repeated)
        if self.damaged and not self._offsets:
            raise ConfigurationError(f"{self.path} holds no line of a batch output")

    def lines(self) -> Iterator[tuple[Line, bool]]:
        """Every line in the order of the file, and whether it is its row's last."""
        place = 0
        with self._open() as file:
            for line in file:
                row = self._line(line) if line.endswith(b"\n") and place < len(self._offsets) else None
                if row is not None:
                    yield row, place not in self._superseded
                    place += 1

    def in_order(self) -> Iterator[tuple[bytes, Line]]:
        """Every row's last line, as bytes with the line feed and decoded, in the order of the input."""
        places = [place for place in range(len(self._offsets)) if place not in self._superseded]
        places.sort(key=self._positions.__getitem__)
        with self._open() as file:
            for place in places:
                file.seek(self._offsets[place])
                line = file.readline()
                row = self._line(line)
                if row is not None:
                    yield line, row

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise ConfigurationError(f"cannot read {self.path}: {error.strerror}") from None

    def _note_time(self, row: Line) -> None:
        started = row.started
        if started is not None:
            ended = started + row.facts.latency
            self.began = started if self.began is None else min(self.began, started)
            self.ended = ended if self.ended is None else max(self.ended, ended)

    def _supersede(self, keys: array[int], repeated: set[int]) -> None:
        last: dict[int, int] = {}
        for place, key in enumerate(keys):
            if key in repeated:
                if key in last:
                    self._superseded.add(last[key])
                last[key] = place

    @staticmethod
    def _line(line: bytes) -> Line | None:
        text = line.rstrip(b"\r\n")
        if decode_line(text) is None:
            return None
        try:
            return _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
