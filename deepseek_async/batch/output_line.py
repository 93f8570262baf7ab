"""Output line codec: an OpenAI Batch output line with library fields under one extra key. Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.billed_attempts import billed
from deepseek_async.batch.cells import as_json
from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import APIError, DeepSeekError
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import mask_known
from deepseek_async.types.json_text import read

PENDING: Final = "pending"
"""Error code of a row that has not ended."""

FACTS: Final = "deepseek_async"
"""The extra key; readers of OpenAI's format ignore it."""

_LINE: Final = b'{"id":"batch_req_%b","custom_id":%b,"response":%b,"error":%b,"' + FACTS.encode() + b'":{"hash":"%b"%b'
_RESPONSE: Final = b'{"status_code":200,"request_id":%b,"body":%b}'
_FACTS: Final = b',"index":%d,"attempts":%d,"started":%b,"latency":%.4f,"cost":%b'
_ANSWERED: Final = _LINE.replace(b'"error":%b', b'"error":null').replace(b'"response":%b', b'"response":' + _RESPONSE)[
    :-2
] + _FACTS.replace(b'"started":%b', b'"started":%.3f').replace(b'"cost":%b', b'"cost":%.10f')
"""Template for most lines: assembling one from parts costs twice as much."""
_COLUMNS: Final = b',"columns":%b'
_TRAILER: Final = len(b',"crc32":"00000000"}}')
_TRAILER_START: Final = b',"crc32":"'
_CHECKSUM: Final = re.compile(rb',"crc32":"([0-9a-f]{8})"\}\}$')
_BOM: Final = b"\xef\xbb\xbf"
# Prefix of every line of this library, so that a resume can identify its row without parsing the answer.
_ID_START: Final = b'{"id":"batch_req_'
HASH: Final = slice(len(_ID_START), len(_ID_START) + 16)
"""Position of the request hash in such a line."""
_NAME_START: Final = b'","custom_id":"'
_NAME: Final = HASH.stop + len(_NAME_START)
_NAME_END: Final = b'","response":'
_BEGINNING: Final = _ID_START + _NAME_START
_DIGITS: Final = frozenset(b"0123456789abcdef")
_NO_ERROR: Final = b',"error":null,"' + FACTS.encode() + b'":{'
_SIMULATED: Final = b',"simulated":'
_FACTS_REACH: Final = 300
_INDEX: Final = len(b'"hash":"0123456789abcdef","index":')
"""Prefix of the facts up to the row's position."""


class OutputFacts(msgspec.Struct, gc=False):
    """Library fields of a line, in addition to OpenAI's."""

    hash: str = ""
    index: int | None = None
    """Position in the input of the run that wrote the line."""
    cost: float | None = None
    set: msgspec.Raw = msgspec.Raw(b"")
    """Parameters sent in place of the row's own, if any."""
    copy_of: str | None = None
    """The row that the answer was copied from, if not this row; the row itself in a restated line."""
    columns: msgspec.Raw = msgspec.Raw(b"")
    """The row's columns that are not part of the request, if any."""
    run: msgspec.Raw = msgspec.Raw(b"")
    """Parameters of the run, in the first line with those parameters."""
    manifest: msgspec.Raw = msgspec.Raw(b"")
    """Positions of earlier rows in the run's input, if they have changed."""
    pending: bool = False
    """Whether the line ends no row and only records what was billed for one."""
    simulated: bool = False
    """Whether the answer is simulated."""
    server: str | None = None
    """Address of the simulator, if the run could not identify it as one by its key."""

    @property
    def hashed(self) -> int | None:
        """The request hash; None in a line from another program."""
        with suppress(ValueError):
            return int(self.hash, 16)
        return None

    @property
    def mark(self) -> bytes:
        """The mark of a simulated answer; empty for a real one."""
        if not self.simulated:
            return b""
        server = b"" if self.server is None else b',"server":%b' % orjson.dumps(self.server)
        return _SIMULATED + b"true" + server


class FinishedRow(msgspec.Struct, gc=False):
    """The fields of a line that a resume needs."""

    custom_id: str
    response: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")
    facts: OutputFacts | None = msgspec.field(default=None, name=FACTS)

    @property
    def restated(self) -> bool:
        """Whether the line only repeats an earlier one: see ``restated_line``."""
        return self.facts is not None and self.facts.copy_of == self.custom_id

    @property
    def pending(self) -> bool:
        """Whether the row has not ended: see ``pending_line``."""
        return self.facts is not None and self.facts.pending

    @property
    def failed(self) -> bool:
        """Whether the row ended with an error."""
        return bytes(self.error) not in {b"", b"null"}


class _Copied(msgspec.Struct, gc=False):
    custom_id: str
    response: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")
    facts: OutputFacts | None = msgspec.field(default=None, name=FACTS)


_decode_finished = msgspec.json.Decoder(FinishedRow).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_copied = msgspec.json.Decoder(_Copied).decode


def encode_line(
    result: BatchResult,
    custom_id: str,
    hashed: int,
    origin: Mapping[str, Any] | None = None,
    record: bytes = b"",
) -> bytes:
    """Return the line of a finished row, with its line feed. Its last field is a CRC-32 of the rest.

    ``origin`` holds further facts: why a row was run again, and with which parameters. ``record`` is the run record.
    The line is assembled by hand, because the answer is already JSON.
    """
    given, started, cost = result.answer, result.started, result.cost
    try:
        request_id = orjson.dumps(result.request_id)
    except TypeError:
        request_id = orjson.dumps(_presentable(result.request_id))  # a header may contain a lone surrogate
    if given is None:
        response, error = orjson.dumps(_presentable(_refusal(result))), orjson.dumps(_presentable(_error(result)))
        text = _text(custom_id, hashed, response, error, _facts(result))
    elif started is None or cost is None:
        response = _RESPONSE % (request_id, _one_line(given.to_json()))
        text = _text(custom_id, hashed, response, b"null", _facts(result))
    else:
        shown = b"%016x" % hashed
        answer = _one_line(given.to_json())
        facts = (result.index, result.attempts, started, result.latency, cost)
        text = _ANSWERED % (shown, orjson.dumps(custom_id), request_id, answer, shown, *facts)
    if result.predicted_cached_tokens is not None:
        text += b',"predicted_cached_tokens":%d' % result.predicted_cached_tokens
    if result.billed_attempts:
        text += billed(result.billed_attempts)
    if result.columns:
        text += _columns(result.columns)
    if origin:
        text += b"," + orjson.dumps(_presentable(origin))[1:-1]
    return _sealed(text + record)


def pending_line(result: BatchResult, custom_id: str, hashed: int, record: bytes = b"") -> bytes:
    """Return a line recording what was billed for a row that has not ended, so that later runs include the cost.

    Readers of OpenAI's format see a failed row; the row's own line comes later.
    """
    why = "the job was cancelled" if result.error is None else plain(result.error.message)
    message = f"row has not ended, but its requests were billed: {why}"
    error = _presentable({**(_error(result) or {}), "code": PENDING, "message": message})
    facts = _facts(result) + b',"pending":true' + billed(result.billed_attempts) + record
    return _sealed(_text(custom_id, hashed, b"null", orjson.dumps(error), facts))


def copied_line(
    line: bytes,
    custom_id: str,
    hashed: int,
    index: int,
    *,
    columns: Mapping[str, Any] | None = None,
    record: bytes = b"",
) -> bytes:
    """Return the line of a row whose answer is copied from another row's ``line``: no request sent, no cost."""
    source = _decode_copied(text_of(line))
    record = (_columns(columns) if columns else b"") + record
    facts = _FACTS % (index, 0, b"null", 0.0, b"0.0") + b',"copy_of":%b' % orjson.dumps(source.custom_id) + record
    if source.facts is not None:
        facts += source.facts.mark
    return _sealed(_text(custom_id, hashed, bytes(source.response), bytes(source.error), facts))


def restated_line(line: bytes, record: bytes) -> bytes:
    """Repeat ``line`` with the run's ``record``, for a run that has no row to write."""
    row = _decode_finished(text_of(line))
    facts = row.facts or OutputFacts()
    position = 0 if facts.index is None else facts.index
    if bytes(facts.columns):
        record = _COLUMNS % bytes(facts.columns) + record
    return copied_line(line, row.custom_id, facts.hashed or 0, position, record=record)


def text_of(line: bytes) -> bytes:
    """Return the line without its line ending and without the byte order mark some editors prepend."""
    return line.rstrip(b"\r\n").removeprefix(_BOM)


def with_facts(line: bytes, changed: Mapping[str, Any]) -> bytes:
    """Return ``line`` with facts replaced; None removes one. Everything else stays byte for byte."""
    fields = _decode_fields(text_of(line))
    facts = _decode_fields(fields.pop(FACTS, b"{}"))
    facts.pop("crc32", None)
    for name, value in changed.items():
        if value is None:
            facts.pop(name, None)
        else:
            facts[name] = msgspec.Raw(as_json(value))
    fields[FACTS] = msgspec.Raw(msgspec.json.encode(facts))
    return _sealed(msgspec.json.encode(fields)[:-2])


def decode_line(text: bytes) -> FinishedRow | None:
    """Decode the row in ``text`` (see ``text_of``); None if the line is damaged or holds no row.

    A ``pending`` line does not finish its row. Lines without a checksum, from another program, are accepted. An input
    line has a ``custom_id`` too, but neither response nor error.
    """
    checksum = _CHECKSUM.search(text[-24:])
    if checksum and zlib.crc32(memoryview(text)[: -len(checksum[0])]) != int(checksum[1], 16):
        return None
    try:
        row = _decode_finished(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return row if bytes(row.response) or bytes(row.error) else None


def is_beginning_of_a_line(text: bytes) -> bool:
    """Whether ``text`` starts with the prefix of a line, or is a truncated part of that prefix.

    Such a fragment holds nothing that the next line would not repeat.
    """
    if not text:
        return False
    place = slice(len(_ID_START), HASH.stop)
    hexadecimal = all(digit in _DIGITS for digit in text[place])
    return (
        hexadecimal
        and (text[: place.start] + text[place.stop : _NAME]) == _BEGINNING[: min(len(text), _NAME) - len(text[place])]
    )


def glance(line: bytes) -> tuple[bytes, int, int] | None:
    """Return name, request hash and position of an answered row, from a complete line with its line feed.

    Takes about 2 µs for a line of 1 kB. Returns None for any other line, even a valid one; use ``decode_line`` then.
    """
    if line[-_TRAILER - 1 : -12] != _TRAILER_START or line[-1:] != b"\n":
        return None
    try:
        checksum, hashed = int(line[-12:-4], 16), int(line[HASH], 16)
    except ValueError:
        return None
    # A copy: a memoryview costs more for a line of a few kilobytes.
    if zlib.crc32(line[: -_TRAILER - 1]) != checksum or line[HASH.stop : _NAME] != _NAME_START:
        return None
    name = line[_NAME : line.find(_NAME_END, _NAME)]
    facts = line.find(_NO_ERROR, -_FACTS_REACH)
    # Another brace follows: the answer contains such text, or the facts have optional fields.
    if (
        facts < 0
        or line.find(_SIMULATED, facts) >= 0
        or line.find(b"{", facts + len(_NO_ERROR)) >= 0
        or b"\\" in name
        or not name.isascii()
    ):
        return None
    start = facts + len(_NO_ERROR) + _INDEX
    try:
        return name, hashed, int(line[start : line.find(b",", start)])
    except ValueError:
        return None


def hash_in(line: bytes) -> int:
    """Return the request hash of a line from ``encode_line``."""
    return int(line[HASH], 16)


def _sealed(text: bytes) -> bytes:
    return text + b',"crc32":"%08x"}}\n' % zlib.crc32(text)


def _text(custom_id: str, hashed: int, response: bytes, error: bytes, facts: bytes) -> bytes:
    """Assemble a line without its line ending."""
    shown = b"%016x" % hashed
    return _LINE % (shown, orjson.dumps(custom_id), response, error, shown, facts)


def _facts(result: BatchResult) -> bytes:
    started = b"null" if result.started is None else b"%.3f" % result.started
    cost = b"null" if result.cost is None else b"%.10f" % result.cost
    return _FACTS % (result.index, result.attempts, started, result.latency, cost)


def _columns(columns: Mapping[str, Any]) -> bytes:
    return _COLUMNS % as_json(columns)


def _refusal(result: BatchResult) -> dict[str, Any] | None:
    error = result.error
    if error is None or error.status_code is None:
        return None
    return {"status_code": error.status_code, "request_id": error.request_id, "body": {"error": error.body}}


def _one_line(wire: bytes) -> bytes:
    """Return the server's bytes unchanged, so that nothing is lost; re-encoded only if not strict JSON on one line.

    The client also accepts JSON on several lines, with a byte order mark, a lone surrogate or a NaN. Written unchanged,
    such bytes would be a damaged line to the next run, and their row would be paid for again in each run.
    """
    # Searching one byte runs at memory speed, two do not; and ``in`` takes twice as long as ``find``.
    if wire.find(b"\n") < 0:
        escaped = wire.find(b"\\") >= 0 and wire.find(b"\\u") >= 0
        if type(wire) is bytes and not escaped and wire.isascii():
            # Decoded by a strict parser, which is lenient only about escapes and non-ASCII bytes.
            return wire
        with suppress(orjson.JSONDecodeError):
            orjson.loads(wire)
            return wire
    return orjson.dumps(_presentable(read(wire)))


def _presentable(value: Any) -> Any:
    """Return ``value`` with text that UTF-8 cannot encode replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_presentable(name): _presentable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_presentable(item) for item in value]
    return value


def _error(result: BatchResult) -> dict[str, Any] | None:
    if result.error is None:
        return None
    return {
        "code": type(result.error).__name__,
        "message": plain(result.error.message),
        "retryable": result.error.retryable,
        **({"text": mask_known(text)} if (text := _said(result.error)) else {}),
    }


def _said(error: DeepSeekError) -> str:
    """Describe the content of a rejected answer, which was paid for."""
    if error.partial is None or not error.partial.choices:
        return error.text if isinstance(error, APIError) else ""
    message = error.partial.choices[0].message
    return message.content or (message.tool_calls[0].function.arguments if message.tool_calls else "")
