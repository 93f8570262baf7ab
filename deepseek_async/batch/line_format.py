"""Bytes of an output line: an OpenAI Batch output line with library facts under one extra key, the last a CRC-32. Pure.

Only this module knows where in a line something stands.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.cells import as_json

FACTS: Final = "deepseek_async"
"""The extra key; readers of OpenAI's format ignore it."""

_TRAILER: Final = len(b',"crc32":"00000000"}}')
_TRAILER_START: Final = b',"crc32":"'
_CHECKSUM: Final = re.compile(rb',"crc32":"([0-9a-f]{8})"\}\}$')
_BOM: Final = b"\xef\xbb\xbf"
# Prefix of every line of this library, so that a resume can identify its row without parsing the answer.
_ID_START: Final = b'{"id":"batch_req_'
_HASH: Final = slice(len(_ID_START), len(_ID_START) + 16)
_NAME_FIELD: Final = b'","custom_id":'
_NAME_START: Final = _NAME_FIELD + b'"'
_NAME: Final = _HASH.stop + len(_NAME_START)
_RESPONSE_FIELD: Final = b',"response":'
_NAME_END: Final = b'"' + _RESPONSE_FIELD
_ERROR_FIELD: Final = b',"error":'
_FACTS_START: Final = b',"' + FACTS.encode() + b'":{'
_HASH_FACT: Final = b'"hash":"'
_FACTS_OF: Final = _FACTS_START + _HASH_FACT
_BEGINNING: Final = _ID_START + _NAME_START
_DIGITS: Final = frozenset(b"0123456789abcdef")
_NO_ERROR: Final = _ERROR_FIELD + b"null" + _FACTS_START
_SIMULATED: Final = b',"simulated":'
_FACTS_REACH: Final = 300
_INDEX: Final = len(_HASH_FACT + b'0123456789abcdef","index":')
"""Prefix of the facts up to the row's position."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def fact(name: str, value: bytes) -> bytes:
    """Return a fact as it stands in a line; ``value`` is its JSON."""
    return b',"%b":%b' % (name.encode(), value)


def written_line(custom_id: str, hashed: int, response: bytes, error: bytes, facts: bytes) -> bytes:
    """Return a line with its checksum and line feed.

    ``response`` and ``error`` are JSON; ``facts`` are those of ``fact``, the row's position (``index``) first.
    """
    shown = b"%016x" % hashed
    name, middle = orjson.dumps(custom_id), _ERROR_FIELD + error + _FACTS_OF
    return _sealed(
        b"".join((_ID_START, shown, _NAME_FIELD, name, _RESPONSE_FIELD, response, middle, shown, b'"', facts))
    )


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


def is_intact(text: bytes) -> bool:
    """Whether the checksum of the line in ``text`` (see ``text_of``) is right, or there is none."""
    checksum = _CHECKSUM.search(text[-24:])
    return checksum is None or zlib.crc32(memoryview(text)[: -len(checksum[0])]) == int(checksum[1], 16)


def is_beginning_of_a_line(text: bytes) -> bool:
    """Whether ``text`` starts with the prefix of a line, or is a truncated part of that prefix.

    Such a fragment holds nothing that the next line would not repeat.
    """
    if not text:
        return False
    place = slice(len(_ID_START), _HASH.stop)
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
        checksum, hashed = int(line[-12:-4], 16), int(line[_HASH], 16)
    except ValueError:
        return None
    # A copy: a memoryview costs more for a line of a few kilobytes.
    if zlib.crc32(line[: -_TRAILER - 1]) != checksum or line[_HASH.stop : _NAME] != _NAME_START:
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
    """Return the request hash of a line from ``written_line``."""
    return int(line[_HASH], 16)


def _sealed(text: bytes) -> bytes:
    return text + b',"crc32":"%08x"}}\n' % zlib.crc32(text)
