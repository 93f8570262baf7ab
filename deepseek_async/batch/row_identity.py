"""Row identity, stable across runs and machines: names, request hashes and shards. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Self

import msgspec
import orjson

from deepseek_async.batch.row import Row
from deepseek_async.errors import ConfigurationError

_UNSIGNED: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: its multiples are well spread
_UNNAMED: Final = re.compile(rb"row-([0-9a-f]{16})-(0|[1-9][0-9]{0,18})")


def digest(text: bytes) -> int:
    """Return a 64-bit digest of ``text``, never 0, stable everywhere. A million rows collide with probability 3e-8."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") or 1


def key_of(name: bytes) -> int:
    """Return a 64-bit hash of a row's name, never 0, stable in this process only; a tenth of the cost of ``digest``."""
    # One character first: millions of names are tested, and most are not of this form.
    if name[20:21] == b"-" and (parts := _UNNAMED.fullmatch(name)):
        return unnamed_key(int(parts[1], 16), int(parts[2]))
    return hash(name) & _UNSIGNED or 1


def unnamed_key(hashed: int, occurrence: int) -> int:
    """Return ``key_of`` the name built by ``unnamed``, without building it."""
    return (hashed + occurrence * _GOLDEN & _UNSIGNED if occurrence else hashed) or 1


def request_hash(row: Row) -> int:
    """Return a 64-bit hash of the request and its endpoint, independent of key order and number formatting."""
    if row.body is None or row.text:
        return digest(row.text)
    if row.endpoint is None:
        return digest(_canonical(row.body))
    # JSON text contains no raw line feed, so the two lines are unambiguous.
    return digest(b"%b\n%b" % (row.endpoint.url.encode(), _canonical(row.body)))


def unnamed(hashed: int, occurrence: int) -> str:
    """Return the name of a row without ``custom_id``: request hash and the number of equal rows before it."""
    return f"row-{hashed:016x}-{occurrence}"


def first_unnamed(hashed: int) -> bytes:
    """Return the name of the first of equal rows, as ``unnamed`` builds it."""
    return b"row-%016x-0" % hashed


def is_unnamed(name: bytes) -> bool:
    """Whether the name was built by ``unnamed``."""
    return name[20:21] == b"-" and _UNNAMED.fullmatch(name) is not None


class Shard(msgspec.Struct, frozen=True):
    """One of ``count`` shards of a job; rows are assigned by name, so all machines agree."""

    number: int
    """Starts at 1."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``2/8``. Raises ConfigurationError."""
        number, _, count = text.partition("/")
        if not (number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise ConfigurationError(f"shard must be number/count, for example 2/8, got {text!r}")
        shard = cls(int(number), int(count))
        if not 1 <= shard.number <= shard.count:
            raise ConfigurationError(f"the number of shard {text} must be from 1 to {count}")
        return shard

    def has(self, name: bytes) -> bool:
        """Whether the row of that name belongs to this shard."""
        return shard_of(name, self.count) == self.number


def shard_of(name: bytes, count: int) -> int:
    """Return the number of the shard, of ``count``, that the row belongs to."""
    return digest(name) % count + 1


def _canonical(body: Any) -> bytes:
    try:
        text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        # 0.0 equals 0 in JSON; a script or spreadsheet that rewrites the file may turn one into the other.
        return orjson.dumps(_whole(body), option=orjson.OPT_SORT_KEYS) if text.find(b".0") >= 0 else text
    except TypeError:
        # A lone surrogate: the row will be rejected, and still needs an identity.
        return repr(body).encode("utf-8", "backslashreplace")


def _whole(value: Any) -> Any:
    """Return ``value`` with integral floats as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
