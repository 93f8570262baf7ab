"""One line of the output file: an OpenAI Batch output line, with our own facts under one extra key. Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.billed import billed
from deepseek_async.batch.cells import as_json
from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import APIError, DeepSeekError
from deepseek_async.text.quotation import plain
from deepseek_async.text.redaction import mask_known
from deepseek_async.types.json_text import read

PENDING: Final = "pending"
"""The error of a row that has not ended."""

FACTS: Final = "deepseek_async"
"""The extra key; readers of OpenAI's format ignore it."""

_LINE: Final = b'{"id":"batch_req_%b","custom_id":%b,"response":%b,"error":%b,"' + FACTS.encode() + b'":{"hash":"%b"%b'
_RESPONSE: Final = b'{"status_code":200,"request_id":%b,"body":%b}'
_FACTS: Final = b',"index":%d,"attempts":%d,"started":%b,"latency":%.4f,"cost":%b'
_ANSWERED: Final = _LINE.replace(b'"error":%b', b'"error":null').replace(b'"response":%b', b'"response":' + _RESPONSE)[
    :-2
] + _FACTS.replace(b'"started":%b', b'"started":%.3f').replace(b'"cost":%b', b'"cost":%.10f')
"""What most lines are, in one piece: put together from parts, a line costs twice as much."""
_COLUMNS: Final = b',"columns":%b'
_TRAILER: Final = len(b',"crc32":"00000000"}}')
_TRAILER_START: Final = b',"crc32":"'
_CHECKSUM: Final = re.compile(rb',"crc32":"([0-9a-f]{8})"\}\}$')
_BOM: Final = b"\xef\xbb\xbf"
# How every line of ours begins, so that a resume need not parse the answer to learn whose it is.
_ID_START: Final = b'{"id":"batch_req_'
HASH: Final = slice(len(_ID_START), len(_ID_START) + 16)
"""Where a line of ours has its request's hash."""
_NAME_START: Final = b'","custom_id":"'
_NAME: Final = HASH.stop + len(_NAME_START)
_NAME_END: Final = b'","response":'
_BEGINNING: Final = _ID_START + _NAME_START
_DIGITS: Final = frozenset(b"0123456789abcdef")
_NO_ERROR: Final = b',"error":null,"' + FACTS.encode() + b'":{'
_SIMULATED: Final = b',"simulated":'
_FACTS_REACH: Final = 300
_INDEX: Final = len(b'"hash":"0123456789abcdef","index":')
"""From the beginning of the facts to the row's position."""


class Facts(msgspec.Struct, gc=False):
    """What we say of a row beside OpenAI's fields."""

    hash: str = ""
    index: int | None = None
    """Position in the input of the run that wrote the line."""
    cost: float | None = None
    set: msgspec.Raw = msgspec.Raw(b"")
    """Parameters that the row was sent with in place of its own, if there were any."""
    copy_of: str | None = None
    """The row whose answer this is, if it is not the row's own; itself in a line that was written once more."""
    columns: msgspec.Raw = msgspec.Raw(b"")
    """What stood beside the request in the row, if anything did."""
    run: msgspec.Raw = msgspec.Raw(b"")
    """How the run asks that wrote the line, if it is the first to ask in that way."""
    manifest: msgspec.Raw = msgspec.Raw(b"")
    """Where the rows of earlier lines stand in the input of that run, if they stood elsewhere before."""
    pending: bool = False
    """Whether the line ends no row, and only says what was billed for one."""
    simulated: bool = False
    """Whether a simulator made the answer up."""
    server: str | None = None
    """Address of that simulator, if the run did not know that it was one."""

    @property
    def hashed(self) -> int | None:
        """The request's hash; None in a line that another program wrote."""
        with suppress(ValueError):
            return int(self.hash, 16)
        return None

    @property
    def mark(self) -> bytes:
        """What says of a line that a simulator made its answer up; nothing for a real one."""
        if not self.simulated:
            return b""
        server = b"" if self.server is None else b',"server":%b' % orjson.dumps(self.server)
        return _SIMULATED + b"true" + server


class FinishedRow(msgspec.Struct, gc=False):
    """What a resume needs of a line."""

    custom_id: str
    response: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")
    facts: Facts | None = msgspec.field(default=None, name=FACTS)

    @property
    def restated(self) -> bool:
        """Whether the line only says once more what an earlier one says: see ``restated_line``."""
        return self.facts is not None and self.facts.copy_of == self.custom_id

    @property
    def pending(self) -> bool:
        """Whether it has not ended: see ``pending_line``."""
        return self.facts is not None and self.facts.pending

    @property
    def failed(self) -> bool:
        """Whether the row ended with an error."""
        return bytes(self.error) not in {b"", b"null"}


class _Copied(msgspec.Struct, gc=False):
    custom_id: str
    response: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")
    facts: Facts | None = msgspec.field(default=None, name=FACTS)


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
    """The line for a finished row, with its line feed. A CRC-32 of the rest of the line is its last field.

    ``origin`` are further facts: why a row was run again, and with what. ``record`` is what the run says of itself and
    of who answers it.
    The line is put together by hand, because the answer in it is JSON already.
    """
    given, started, cost = result.answer, result.started, result.cost
    try:
        request_id = orjson.dumps(result.request_id)
    except TypeError:
        request_id = orjson.dumps(_presentable(result.request_id))  # a lone surrogate, from a header
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
    """What was billed for a row that has not ended, so that no later run forgets the money.

    To readers of OpenAI's format it is a row that failed, as it is for now; the row's own line comes later.
    """
    why = "the job was cancelled" if result.error is None else plain(result.error.message)
    message = f"the row has not ended, and what was sent for it was billed: {why}"
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
    """The line for a row whose answer is in another row's ``line``: nothing was sent for it, and it cost nothing."""
    source = _decode_copied(text_of(line))
    record = (_columns(columns) if columns else b"") + record
    facts = _FACTS % (index, 0, b"null", 0.0, b"0.0") + b',"copy_of":%b' % orjson.dumps(source.custom_id) + record
    if source.facts is not None:
        facts += source.facts.mark
    return _sealed(_text(custom_id, hashed, bytes(source.response), bytes(source.error), facts))


def restated_line(line: bytes, record: bytes) -> bytes:
    """``line`` once more, for a run that has something to say of itself (``record``) and no row to write."""
    row = _decode_finished(text_of(line))
    facts = row.facts or Facts()
    position = 0 if facts.index is None else facts.index
    if bytes(facts.columns):
        record = _COLUMNS % bytes(facts.columns) + record
    return copied_line(line, row.custom_id, facts.hashed or 0, position, record=record)


def text_of(line: bytes) -> bytes:
    """The line without its end, and without the byte order mark that editors put in front of a file."""
    return line.rstrip(b"\r\n").removeprefix(_BOM)


def with_facts(line: bytes, changed: Mapping[str, Any]) -> bytes:
    """``line`` with other facts of ours; one that is None is left out. All else stays byte for byte."""
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
    """The row that ``text`` (see ``text_of``) finishes; None if the line is damaged, or speaks of none.

    One that is ``pending`` it does not finish. Lines without a checksum, written by another program, are taken as they
    are. A line of an input has a ``custom_id`` too, but neither response nor error.
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
    """Whether ``text`` begins as each line of ours does, or is a torn piece of that beginning and nothing else.

    A torn piece holds nothing that the next line would not begin with.
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
    """Name, request hash and position of a row that has an answer, from a whole line of ours with its line feed.

    About 2 µs a line of 1 kB. None for every other line, which may be as good: ``decode_line`` tells.
    """
    if line[-_TRAILER - 1 : -12] != _TRAILER_START or line[-1:] != b"\n":
        return None
    try:
        checksum, hashed = int(line[-12:-4], 16), int(line[HASH], 16)
    except ValueError:
        return None
    # A copy, because a view of a line of a few kilobytes costs more.
    if zlib.crc32(line[: -_TRAILER - 1]) != checksum or line[HASH.stop : _NAME] != _NAME_START:
        return None
    name = line[_NAME : line.find(_NAME_END, _NAME)]
    facts = line.find(_NO_ERROR, -_FACTS_REACH)
    # Another brace behind it: the answer itself holds such text, or the facts hold more than the usual.
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
    """The request hash in a line that ``encode_line`` made."""
    return int(line[HASH], 16)


def _sealed(text: bytes) -> bytes:
    return text + b',"crc32":"%08x"}}\n' % zlib.crc32(text)


def _text(custom_id: str, hashed: int, response: bytes, error: bytes, facts: bytes) -> bytes:
    """A line without its end."""
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
    """The server's own bytes, so that nothing is lost; written anew only if no line of strict JSON can hold them.

    The client takes more than that: JSON on several lines, with a byte order mark, a lone surrogate, a NaN.
    As they are, such bytes would be a damaged line to the next run, and paid for in each.
    """
    # One byte is looked for at memory speed, two are not; and ``in`` takes twice as long as ``find``.
    if wire.find(b"\n") < 0:
        escaped = wire.find(b"\\") >= 0 and wire.find(b"\\u") >= 0
        if type(wire) is bytes and not escaped and wire.isascii():
            # It was decoded by a strict parser, which is lenient only with escapes and bytes beyond ASCII.
            return wire
        with suppress(orjson.JSONDecodeError):
            orjson.loads(wire)
            return wire
    return orjson.dumps(_presentable(read(wire)))


def _presentable(value: Any) -> Any:
    """``value`` with what UTF-8 cannot carry replaced."""
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
    """What had come of an answer that counts for none: it was paid for."""
    if error.partial is None or not error.partial.choices:
        return error.text if isinstance(error, APIError) else ""
    message = error.partial.choices[0].message
    return message.content or (message.tool_calls[0].function.arguments if message.tool_calls else "")
