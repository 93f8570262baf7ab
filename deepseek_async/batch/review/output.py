"""An output file, read by somebody who does not write it: while a run goes on, after it, years later."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from deepseek_async.batch.answer_body import AnswerBody
from deepseek_async.batch.identity import key_of
from deepseek_async.batch.journal.reading import LONGEST_LINE
from deepseek_async.batch.known_rows import UNKNOWN, KnownRows
from deepseek_async.batch.line import FACTS, decode_line, text_of
from deepseek_async.batch.review.columns import Columns
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


class LineBill(msgspec.Struct, gc=False):
    """A request that was billed."""

    model: str | None = None
    at: float | None = None
    """When it was sent, in seconds since 1970."""
    sent: SentUsage = msgspec.field(default_factory=SentUsage, name="usage")
    asked: str = ""
    """The model that was asked, where the line says it."""
    corrected: str | None = None
    """Why the usage is an estimate: what the server said of it cannot be true, or it said nothing."""

    fees: dict[str, int] | None = None
    """What was billed beside tokens, by kind."""

    @property
    def usage(self) -> CompletionUsage:
        """What it was billed for."""
        usage = self.sent.read()
        usage.fees = self.fees
        return usage


class LineFacts(msgspec.Struct, gc=False):
    """What the run knows of the row beside the server's answer."""

    index: int | None = None
    attempts: int = 1
    started: float | None = None
    latency: float = 0.0
    cost: float | None = None
    predicted_cached_tokens: int = 0
    billed: list[LineBill] | AnswerBody | None = None
    """What each request was billed for, where one of them gave no answer. Older lines have one object."""
    columns: dict[str, Any] = {}
    """What stands beside the request in the row that was asked."""
    hash: str = ""
    simulated: bool = False
    """Whether a simulator made the answer up."""
    pending: bool = False
    """Whether the line ends no row, and only says what was billed for one."""
    copy_of: str | None = None
    run: msgspec.Raw = msgspec.Raw(b"")
    manifest: msgspec.Raw = msgspec.Raw(b"")


class OutputLine(msgspec.Struct, gc=False):
    """One line of the output, in full."""

    custom_id: str
    response: LineResponse | None = None
    error: Failure | None = None
    facts: LineFacts = msgspec.field(default_factory=LineFacts, name=FACTS)

    @property
    def body(self) -> AnswerBody:
        """The server's answer; an empty one for a row that has none."""
        return self.response.body if self.response is not None and self.error is None else AnswerBody()

    @property
    def bills(self) -> list[LineBill]:
        """What had to be paid for: the answer, and others that came to nothing. Empty where nothing is known of any."""
        billed = self.facts.billed
        if isinstance(billed, list):
            return billed
        body = self.body if billed is None else billed
        # The tokens of a document that was read are told and not billed (DeepSeek docs, OCR guide).
        sent = body.usage if body.pages is None else None
        return [] if sent is None else [LineBill(body.model, self.started, sent)]

    @property
    def restated(self) -> bool:
        """Whether the line only says once more what an earlier one says, because a run had something to say."""
        return self.facts.copy_of == self.custom_id

    @property
    def started(self) -> float | None:
        """When its request was sent, by our clock or else by the server's; None for a copy, for which none was."""
        if not self.facts.attempts:
            return None
        body, ours = self.body, self.facts.started
        return moment(ours if ours is not None else body.created if body.created is not None else body.created_at)


_decode = msgspec.json.Decoder(OutputLine, strict=False).decode


class OutputReader:
    """The rows of an output file. Of several lines for one row the last one counts.

    ``read`` goes over the file once and keeps 63 to 95 bytes a row. Raises ConfigurationError for a file that cannot be
    read or holds no line of an output.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = KnownRows()
        self._offsets = array("q")
        self._hashes = array("Q")
        self._made_up = bytearray()
        self._failed = bytearray()
        self.began = array("d")
        """By the row: when its first request was sent, in seconds since 1970; inf if no line says."""
        self.ended = array("d")
        """By the row: when its last answer came; -inf if no line says."""
        self.damaged = 0
        """Lines that cannot be what was written; the next run sends their rows again."""
        self.pending: list[OutputLine] = []
        """What was billed for rows at a time when they had not ended."""
        self.run: bytes | None = None
        """How the latest run asked that says it, as JSON."""
        self.columns = Columns()
        """What stands beside the requests, as far as the lines say it."""
        self._renamed: dict[int, dict[str, Any]] = {}
        """By the row: its columns, where a later line says its answer once more under them."""

    def __len__(self) -> int:
        """Rows that have an end."""
        return len(self._offsets)

    def read(self) -> None:
        """Find every line. A last line that a run is still writing is left out."""
        with self._open() as file:
            for offset, line, row in self._lines(file):
                if row is not None and row.facts.pending:
                    self.pending.append(row)
                elif row is not None:
                    self._take(offset, row)
                else:
                    self.damaged += line.ended if isinstance(line, LongLine) else _is_damaged(line)
        if self.damaged and not self._offsets:
            raise ConfigurationError(f"{self.path} holds no line of a batch output")

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
        """Whether the row of that number ended as a request of that hash, as far as its line says."""
        return self._hashes[number] in (0, hashed)

    def beside(self, number: int, line: OutputLine) -> dict[str, Any]:
        """The columns of the row of that number, whose last line is ``line``."""
        return self._renamed.get(number, line.facts.columns)

    def made_up(self, number: int) -> bool:
        """Whether a simulator made the row's answer up. Such a line takes no real one's place."""
        return bool(self._made_up[number])

    def failed(self, number: int) -> bool:
        """Whether the row of that number ended with an error."""
        return bool(self._failed[number])

    def lines(self) -> Iterator[tuple[int, OutputLine, bool]]:
        """Every line in the order of the file: the number of its row, the line, and whether it is the row's last."""
        with self._open() as file:
            for offset, _, row in self._lines(file):
                number = self.rows.number(key_of(row.custom_id.encode())) if row is not None else None
                # A line that came after ``read``, that only repeats another, or that ends no row, is passed over.
                if row is None or row.facts.pending or number is None or offset > self._offsets[number]:
                    continue
                yield number, row, offset == self._offsets[number]

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], tuple[bytes, OutputLine]]]:
        """A function from the number of a row to its last line, as bytes and decoded."""
        with self._open() as file:

            def line_of(number: int) -> tuple[bytes, OutputLine]:
                file.seek(self._offsets[number])
                wire = file.readline(LONGEST_LINE)
                line = line_from(wire)
                if line is None:
                    raise ConfigurationError(f"{self.path} changed while it was read: run the command again")
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
    """A line of an output; None if it is damaged, or speaks of no row."""
    text = text_of(wire)
    if decode_line(text) is None:
        return None
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _repaired(text)


def _is_damaged(line: bytes) -> bool:
    """Whether a line that names no row is whole and says something."""
    return line.endswith(b"\n") and bool(text_of(line).strip())


def _repaired(text: bytes) -> OutputLine | None:
    """A line whose answer, which was paid for, is in another form than the API's."""
    try:
        return _decode(write(repaired(read(text), OutputLine, [])))
    except (ValueError, RecursionError):  # also msgspec's errors
        return None


def _hashed(text: str) -> int:
    """0 in the line of another program, which does not say what was asked."""
    try:
        return int(text, 16) & _WORD
    except ValueError:
        return 0
