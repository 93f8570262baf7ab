"""What makes a row the same row in the next run, on this machine or another. Pure."""

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
_GOLDEN: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: its multiples lie far apart
_UNNAMED: Final = re.compile(rb"row-([0-9a-f]{16})-(0|[1-9][0-9]{0,18})")


def digest(text: bytes) -> int:
    """64 bits of ``text``, never 0, the same everywhere. A million rows collide with a probability of 3e-8."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") or 1


def key_of(name: bytes) -> int:
    """64 bits of a row's name, never 0, for tables of this process only: a tenth of the price of ``digest``."""
    # One character first, because millions of names are asked, and most are not of that form.
    if name[20:21] == b"-" and (parts := _UNNAMED.fullmatch(name)):
        return unnamed_key(int(parts[1], 16), int(parts[2]))
    return hash(name) & _UNSIGNED or 1


def unnamed_key(hashed: int, occurrence: int) -> int:
    """``key_of`` the name that ``unnamed`` makes of the two, without making it."""
    return (hashed + occurrence * _GOLDEN & _UNSIGNED if occurrence else hashed) or 1


def request_hash(row: Row) -> int:
    """64 bits of what the row asks for and where, whatever the order of its keys and how its numbers are written."""
    if row.body is None or row.text:
        return digest(row.text)
    if row.endpoint is None:
        return digest(_canonical(row.body))
    # Between two lines no text of JSON can stand for both.
    return digest(b"%b\n%b" % (row.endpoint.url.encode(), _canonical(row.body)))


def unnamed(hashed: int, occurrence: int) -> str:
    """The name of a row without a ``custom_id``: what it asks for, and how many equal ones came before it."""
    return f"row-{hashed:016x}-{occurrence}"


def is_unnamed(name: bytes) -> bool:
    """Whether ``unnamed`` made the name."""
    return name[20:21] == b"-" and _UNNAMED.fullmatch(name) is not None


class Shard(msgspec.Struct, frozen=True):
    """One of ``count`` parts of a job; rows are dealt by their names, so every machine deals alike."""

    number: int
    """From 1."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard in ``2/8``. Raises ConfigurationError."""
        number, _, count = text.partition("/")
        if not (number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise ConfigurationError(f"a shard is written as number/count, for example 2/8, not {text!r}")
        shard = cls(int(number), int(count))
        if not 1 <= shard.number <= shard.count:
            raise ConfigurationError(f"shard {text}: the number goes from 1 to {count}")
        return shard

    def has(self, name: bytes) -> bool:
        """Whether the row of that name is in this part."""
        return shard_of(name, self.count) == self.number


def shard_of(name: bytes, count: int) -> int:
    """The number of the part, of ``count``, in which the row of that name is."""
    return digest(name) % count + 1


def _canonical(body: Any) -> bytes:
    try:
        text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        # 0.0 is 0 in JSON; a script or a spreadsheet that wrote the file anew makes the one of the other.
        return orjson.dumps(_whole(body), option=orjson.OPT_SORT_KEYS) if text.find(b".0") >= 0 else text
    except TypeError:
        # A lone surrogate somewhere: the row will be refused, and still needs an identity.
        return repr(body).encode("utf-8", "backslashreplace")


def _whole(value: Any) -> Any:
    """``value`` with whole numbers as integers, however they are written."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
