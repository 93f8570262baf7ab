"""Read-only access to an output file, during a run or after it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from deepseek_async.batch.answer_body import AnswerBody
from deepseek_async.batch.journal.reading import LONGEST_LINE
from deepseek_async.batch.line_format import FACTS, text_of
from deepseek_async.batch.output_line import decode_line
from deepseek_async.batch.resume_index import UNKNOWN, ResumeIndex
from deepseek_async.batch.review.columns import Columns
from deepseek_async.batch.row_identity import key_of
from deepseek_async.batch.run_record import decode_manifest
from deepseek_async.codec.repair import repaired
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.bounded_lines import LongLine, lines_of
from deepseek_async.types import CompletionUsage
from deepseek_async.types.json_text import read, write
from deepseek_async.types.usage import SentUsage, moment

_WORD: Final = (1 << 64) - 1


class LineResponse(msgspec.Struct, gc=False):
    status_code: int | None = None
    request_id: str | None = None
    body: AnswerBody = msgspec.field(default_factory=AnswerBody)


class Failure(msgspec.Struct, gc=False):
    code: str = "error"
    message: str = ""
    text: Any = None
    """The answer that was rejected, if the line has one."""


class LineBill(msgspec.Struct, gc=False):
    """A billed request."""

    model: str | None = None
    at: float | None = None
    """When it was sent, in seconds since 1970."""
    sent: SentUsage = msgspec.field(default_factory=SentUsage, name="usage")
    asked: str = ""
    """The requested model, if recorded."""
    corrected: str | None = None
    """Why the usage is an estimate: the server reported an invalid one, or none."""

    fees: dict[str, int] | None = None
    """Charges other than tokens, by kind."""

    @property
    def usage(self) -> CompletionUsage:
        """Return the billed usage."""
        usage = self.sent.read()
        usage.fees = self.fees
        return usage


class LineFacts(msgspec.Struct, gc=False):
    """Library fields of a line, in addition to the server's answer."""

    index: int | None = None
    attempts: int = 1
    started: float | None = None
    latency: float = 0.0
    cost: float | None = None
    predicted_cached_tokens: int = 0
    billed: list[LineBill] | AnswerBody | None = None
    """Billed usage of each request, if one of them failed. Older lines hold one object."""
    columns: dict[str, Any] = {}
    """The row's columns that are not part of the request."""
    hash: str = ""
    simulated: bool = False
    """Whether the answer is simulated."""
    pending: bool = False
    """Whether the line ends no row and only records what was billed for one."""
    copy_of: str | None = None
    run: msgspec.Raw = msgspec.Raw(b"")
    manifest: msgspec.Raw = msgspec.Raw(b"")


class OutputLine(msgspec.Struct, gc=False):
    """One complete line of the output."""

    custom_id: str
    response: LineResponse | None = None
    error: Failure | None = None
    facts: LineFacts = msgspec.field(default_factory=LineFacts, name=FACTS)

    @property
    def body(self) -> AnswerBody:
        """The server's answer; empty for a row without one."""
        return self.response.body if self.response is not None and self.error is None else AnswerBody()

    @property
    def bills(self) -> list[LineBill]:
        """Billed requests: the answer, and failed attempts. Empty if none is known."""
        billed = self.facts.billed
        if isinstance(billed, list):
            return billed
        body = self.body if billed is None else billed
        # The usage of a recognized document is reported but not billed (DeepSeek docs, OCR guide).
        sent = body.usage if body.pages is None else None
        return [] if sent is None else [LineBill(body.model, self.started, sent)]

    @property
    def restated(self) -> bool:
        """Whether the line only repeats an earlier one, to hold a run record."""
        return self.facts.copy_of == self.custom_id

    @property
    def started(self) -> float | None:
        """When its request was sent, by the local clock or else the server's; None for a copied answer."""
        if not self.facts.attempts:
            return None
        body, ours = self.body, self.facts.started
        return moment(ours if ours is not None else body.created if body.created is not None else body.created_at)


_decode = msgspec.json.Decoder(OutputLine, strict=False).decode


class OutputReader:
    """The rows of an output file. Of several lines for one row the last one counts.

    ``read`` scans the file once and keeps 63 to 95 bytes a row. Raises ConfigurationError for a file that cannot be
    read or is not a batch output.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = ResumeIndex()
        self._offsets = array("q")
        self._hashes = array("Q")
        self._made_up = bytearray()
        self._failed = bytearray()
        self.began = array("d")
        """By row: when its first request was sent, in seconds since 1970; inf if unknown."""
        self.ended = array("d")
        """By row: when its last answer was received; -inf if unknown."""
        self.damaged = 0
        """Damaged lines; the next run sends their rows again."""
        self.pending: list[OutputLine] = []
        """Billing of rows recorded before they ended."""
        self.run: bytes | None = None
        """Parameters of the latest run that recorded them, as JSON."""
        self.columns = Columns()
        """Columns recorded in the lines."""
        self._renamed: dict[int, dict[str, Any]] = {}
        """By row: its columns, if a restated line updates them."""

    def __len__(self) -> int:
        """Rows that have ended."""
        return len(self._offsets)

    def read(self) -> None:
        """Index every line. An incomplete last line, which a run may be writing, is ignored."""
        with self._open() as file:
            for offset, line, row in self._lines(file):
                if row is not None and row.facts.pending:
                    self.pending.append(row)
                elif row is not None:
                    self._take(offset, row)
                else:
                    self.damaged += line.ended if isinstance(line, LongLine) else _is_damaged(line)
        if self.damaged and not self._offsets:
            raise ConfigurationError(f"{self.path} is not a batch output")

    def _take(self, offset: int, row: OutputLine) -> None:
        facts = row.facts
        key, position = key_of(row.custom_id.encode()), UNKNOWN if facts.index is None else facts.index
        if bytes(facts.manifest):
            manifest = decode_manifest(facts.manifest)
            number = self.rows.line_with(manifest, key, position, restated=row.restated)
        else:
            number = self.rows.line(key, position)
        new = number == len(self._offsets)
        if new:
            self._offsets.append(offset)
            self._hashes.append(0)
            self._failed.append(False)
            self._made_up.append(False)
            self.began.append(inf)
            self.ended.append(-inf)
        if new or not (row.restated or self._made_up[number] < facts.simulated):
            self._made_up[number] = facts.simulated
            self._offsets[number] = offset
            self._hashes[number] = _hashed(facts.hash)
            self._failed[number] = row.error is not None
            self._renamed.pop(number, None)
        elif row.restated:
            self._renamed[number] = facts.columns
        if row.started is not None:
            self.began[number] = min(self.began[number], row.started)
            self.ended[number] = max(self.ended[number], row.started + facts.latency)
        self.columns.add(facts.columns)
        self.run = bytes(facts.run) or self.run

    def asks(self, number: int, hashed: int) -> bool:
        """Whether the row ended with an answer to a request with that hash, as far as its line records one."""
        return self._hashes[number] in (0, hashed)

    def beside(self, number: int, line: OutputLine) -> dict[str, Any]:
        """Return the columns of the row, whose last line is ``line``."""
        return self._renamed.get(number, line.facts.columns)

    def made_up(self, number: int) -> bool:
        """Whether the row's answer is simulated. Such a line never replaces a real one."""
        return bool(self._made_up[number])

    def failed(self, number: int) -> bool:
        """Whether the row ended with an error."""
        return bool(self._failed[number])

    def lines(self) -> Iterator[tuple[int, OutputLine, bool]]:
        """Yield every line in file order: row number, line, and whether it is the row's last."""
        with self._open() as file:
            for offset, _, row in self._lines(file):
                number = self.rows.number(key_of(row.custom_id.encode())) if row is not None else None
                # Skip a line that was appended after ``read``, repeats another, or ends no row.
                if row is None or row.facts.pending or number is None or offset > self._offsets[number]:
                    continue
                yield number, row, offset == self._offsets[number]

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], tuple[bytes, OutputLine]]]:
        """Yield a function that returns a row's last line by number, as bytes and decoded."""
        with self._open() as file:

            def line_of(number: int) -> tuple[bytes, OutputLine]:
                file.seek(self._offsets[number])
                wire = file.readline(LONGEST_LINE)
                line = line_from(wire)
                if line is None:
                    raise ConfigurationError(f"{self.path} changed while being read: run the command again")
                return wire, line

            yield line_of

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise ConfigurationError(f"cannot read {self.path}: {error.strerror}") from None

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, bytes | LongLine, OutputLine | None]]:
        offset = 0
        for line in lines_of(file, LONGEST_LINE):
            if isinstance(line, LongLine):
                yield offset, line, None
                offset += line.size
            else:
                yield offset, line, line_from(line)
                offset += len(line)


def line_from(wire: bytes) -> OutputLine | None:
    """Decode a line of an output; None if it is damaged or has no row."""
    text = text_of(wire)
    if decode_line(text) is None:
        return None
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _repaired(text)


def _is_damaged(line: bytes) -> bool:
    """Whether a line without a row name is not blank."""
    return line.endswith(b"\n") and bool(text_of(line).strip())


def _repaired(text: bytes) -> OutputLine | None:
    """Decode a line whose answer is not in the API's format; it was paid for."""
    try:
        return _decode(write(repaired(read(text), OutputLine, [])))
    except (ValueError, RecursionError):  # also msgspec's errors
        return None


def _hashed(text: str) -> int:
    """Return the request hash; 0 for a line from another program, which has none."""
    try:
        return int(text, 16) & _WORD
    except ValueError:
        return 0
