"""What a run writes about itself: how it asks, and what became of the rows of earlier runs. Pure.

Both are facts in the first line that the run writes, whatever row that is: how it asks (``run``) if the runs before
asked otherwise, and where the rows of earlier lines stand (``manifest``) if some have moved or are not asked for any
more. A position is that of one input, and says nothing of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.row import Defaults
from deepseek_async.errors import ConfigurationError

_SHOWN: Final = 60


class Manifest(msgspec.Struct):
    """Rows that earlier runs have written: where they stand in the input now, or that they answer no row of it."""

    names: list[str] = []
    positions: list[int] = []
    """Of each of ``names``, in the input from 0."""
    gone: list[str] = []


_decode = msgspec.json.Decoder(Manifest).decode


def decode_manifest(text: bytes | msgspec.Raw) -> Manifest:
    """The manifest that ``ManifestWriter`` wrote; an empty one if there is none, or somebody has changed its form."""
    try:
        return _decode(text) if bytes(text) else Manifest()
    except msgspec.DecodeError:
        return Manifest()


class ManifestWriter:
    """Puts a manifest together from row to row, as JSON from the start: a million rows take 35 MB."""

    def __init__(self) -> None:
        self._names = bytearray()
        self._positions = bytearray()
        self._gone = bytearray()

    def __bool__(self) -> bool:
        return bool(self._names or self._gone)

    def moved(self, name: str, position: int) -> None:
        """Note where a row of an earlier run stands."""
        self._names += orjson.dumps(name) + b","
        self._positions += b"%d," % position

    def gone(self, name: str) -> None:
        """Note a row of an earlier run that is not asked for."""
        self._gone += orjson.dumps(name) + b","

    def encoded(self) -> bytes | None:
        """The manifest as JSON; None if there is nothing to say."""
        if not self:
            return None
        parts = (bytes(part[:-1]) for part in (self._names, self._positions, self._gone))
        return b'{"names":[%b],"positions":[%b],"gone":[%b]}' % tuple(parts)


def record_of(run: bytes | None, manifest: bytes | None) -> bytes:
    """What is to stand among the facts of a line: see ``encode_line``."""
    return b"".join(
        b',"%b":%b' % (name, value) for name, value in ((b"run", run), (b"manifest", manifest)) if value is not None
    )


def how_it_asks(defaults: Defaults) -> bytes | None:
    """What a run adds to its rows, as JSON; None if JSON cannot hold it."""
    try:
        return orjson.dumps(msgspec.to_builtins(defaults), option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None


def defaults_of(run: bytes) -> Defaults | None:
    """What ``how_it_asks`` was given; None if another version wrote it in another form."""
    try:
        return msgspec.json.decode(run, type=Defaults)
    except (msgspec.DecodeError, UnicodeDecodeError, ConfigurationError):
        return None


def differences(before: Defaults, now: Defaults) -> Iterator[str]:
    """What a run asks with in place of what an earlier one asked with, in words."""
    for name in Defaults.__struct_fields__:
        if name != "parameters":
            yield from _difference(name, getattr(before, name), getattr(now, name))
    for name in dict.fromkeys([*before.parameters, *now.parameters]):
        yield from _difference(name, before.parameters.get(name), now.parameters.get(name))


def _difference(name: str, before: Any, now: Any) -> Iterator[str]:
    if before != now:
        yield f"{name} is {_shown(now)} and was {_shown(before)}"


def _shown(value: Any) -> str:
    text = "not set" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
