"""The output and error file of a batch, from its journal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import orjson

from deepseek_async.batch.line_format import text_of
from deepseek_async.batch.review.output_reader import OutputLine, OutputReader
from deepseek_async.batch.row_identity import key_of
from deepseek_async.gateway.batches.record import BatchUsage, Status
from deepseek_async.gateway.callers import mask_keys_in

_UNANSWERED: Final[dict[Status, tuple[str, str]]] = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}
_LINE_ENDS: Final = tuple((end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\x85\u2028\u2029")
"""What ``str.splitlines`` takes for the end of a line, and JSON for a character."""
_NULL: Final = msgspec.Raw(b"null")


class _Line(msgspec.Struct, omit_defaults=False):
    """A line of OpenAI's output file; what this library adds to one is left out."""

    id: str
    custom_id: str
    response: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


class _Id(msgspec.Struct):
    custom_id: str


_decode: Final = msgspec.json.Decoder(_Line).decode
_encode: Final = msgspec.json.Encoder().encode
_id_of: Final = msgspec.json.Decoder(_Id).decode


class WrittenOutputs(msgspec.Struct):
    """How many lines each file has, and what all rows used."""

    completed: int = 0
    failed: int = 0
    unanswered: int = 0
    usage: BatchUsage = BatchUsage()
    cost: float = 0.0
    """US dollars."""

    def add(self, line: OutputLine) -> None:
        """Count what the requests of a row have used, failed ones included."""
        self.cost += line.facts.cost or 0.0
        for bill in line.bills:
            used = bill.usage
            sent, received = used.prompt_tokens, used.completion_tokens
            self.usage = self.usage.plus(sent, used.cached_tokens, received, used.reasoning_tokens)


def write_outputs(journal: Path, source: Path, status: Status, output: Path, errors: Path) -> WrittenOutputs:
    """Write each row of the batch ``source`` to ``output`` or to ``errors``, and sync both. Runs in a thread.

    A row without an answer is one of an expired or cancelled batch, and says so in ``errors``. Raises OSError,
    and ConfigurationError for a journal that cannot be read.
    """
    written = WrittenOutputs()
    reader = OutputReader(journal)
    if journal.exists():
        reader.read()
    with output.open("wb") as answered, errors.open("wb") as failed:
        if len(reader):
            with reader.opened() as line_of:
                for number in range(len(reader)):
                    wire, line = line_of(number)
                    written.add(line)
                    if reader.failed(number):
                        failed.write(_as_error(_decode(text_of(wire)), source))
                        written.failed += 1
                    else:
                        answered.write(_as_line(_decode(text_of(wire))))
                        written.completed += 1
        for line in reader.pending:
            written.add(line)
        if status in _UNANSWERED:
            written.unanswered = _write_unanswered(source, reader, _UNANSWERED[status], failed)
        for file in (answered, failed):
            file.flush()
            os.fsync(file.fileno())
    return written


def _as_line(line: _Line) -> bytes:
    return _written(_encode(line))


def _written(line: bytes) -> bytes:
    for text, escaped in _LINE_ENDS:
        if text in line:
            line = line.replace(text, escaped)
    # A server may repeat a key in an answer, as in an error; and a caller its own in a question.
    return mask_keys_in(line) + b"\n"


def _as_error(line: _Line, source: Path) -> bytes:
    """As OpenAI's API does it: ``error`` is for a request without an HTTP answer; else the answer says what failed."""
    if bytes(line.response) != b"null":
        line.error = _NULL
    else:
        error = msgspec.json.decode(line.error)
        # Where the gateway keeps its files is nobody's business.
        error["message"] = error["message"].replace(f"{source}, ", "")
        line.error = msgspec.Raw(_encode(error))
    return _as_line(line)


def _write_unanswered(source: Path, reader: OutputReader, why: tuple[str, str], target: BinaryIO) -> int:
    rows = 0
    error: dict[str, Any] = {"code": why[0], "message": why[1]}
    for custom_id in _ids(source):
        if reader.rows.number(key_of(custom_id.encode())) is None:
            line = {"id": f"batch_req_{rows:016x}", "custom_id": custom_id, "response": None, "error": error}
            target.write(_written(orjson.dumps(line)))
            rows += 1
    return rows


def _ids(source: Path) -> Iterator[str]:
    with source.open("rb") as file:
        for line in file:
            if text := text_of(line).strip():
                yield _id_of(text).custom_id
