"""Run record: parameters of a run and positions of earlier rows. Pure.

Both are facts in the first line the run writes, whichever row it holds: the parameters (``run``) if they differ from
those of earlier runs, and the positions of earlier rows (``manifest``) if some have moved or are no longer in the
input. A position refers to the input of one run only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.line_format import fact
from deepseek_async.batch.row import Defaults
from deepseek_async.errors import ConfigurationError

_SHOWN: Final = 60


class Manifest(msgspec.Struct):
    """Rows written by earlier runs: their positions in the current input, or that they are not in it."""

    names: list[str] = []
    positions: list[int] = []
    """Position of each of ``names`` in the input, from 0."""
    gone: list[str] = []


_decode = msgspec.json.Decoder(Manifest).decode


def decode_manifest(text: bytes | msgspec.Raw) -> Manifest:
    """Decode a manifest from ``ManifestWriter``; empty if there is none, or its format is unknown."""
    try:
        return _decode(text) if bytes(text) else Manifest()
    except msgspec.DecodeError:
        return Manifest()


class ManifestWriter:
    """Builds a manifest row by row, directly as JSON: a million rows take 35 MB."""

    def __init__(self) -> None:
        self._names = bytearray()
        self._positions = bytearray()
        self._gone = bytearray()

    def __bool__(self) -> bool:
        return bool(self._names or self._gone)

    def moved(self, name: str, position: int) -> None:
        """Record the current position of an earlier row."""
        self._names += orjson.dumps(name) + b","
        self._positions += b"%d," % position

    def gone(self, name: str) -> None:
        """Record that an earlier row is not in the input."""
        self._gone += orjson.dumps(name) + b","

    def encoded(self) -> bytes | None:
        """Return the manifest as JSON, or None if it is empty."""
        if not self:
            return None
        parts = (bytes(part[:-1]) for part in (self._names, self._positions, self._gone))
        return b'{"names":[%b],"positions":[%b],"gone":[%b]}' % tuple(parts)


def record_of(run: bytes | None, manifest: bytes | None) -> bytes:
    """Encode the run record for the facts of a line: see ``encode_line``."""
    facts = ("run", run), ("manifest", manifest)
    return b"".join(fact(name, value) for name, value in facts if value is not None)


def how_it_asks(defaults: Defaults) -> bytes | None:
    """Encode the parameters that a run adds to its rows as JSON; None if JSON cannot represent them."""
    try:
        return orjson.dumps(msgspec.to_builtins(defaults), option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None


def defaults_of(run: bytes) -> Defaults | None:
    """Decode ``how_it_asks``; None if written by another version in another format."""
    try:
        return msgspec.json.decode(run, type=Defaults)
    except (msgspec.DecodeError, UnicodeDecodeError, ConfigurationError):
        return None


def differences(before: Defaults, now: Defaults) -> Iterator[str]:
    """Describe the differences in parameters between an earlier run and this one."""
    for name in Defaults.__struct_fields__:
        if name != "parameters":
            yield from _difference(name, getattr(before, name), getattr(now, name))
    for name in dict.fromkeys([*before.parameters, *now.parameters]):
        yield from _difference(name, before.parameters.get(name), now.parameters.get(name))


def _difference(name: str, before: Any, now: Any) -> Iterator[str]:
    if before != now:
        yield f"{name} is {_shown(now)}, was {_shown(before)}"


def _shown(value: Any) -> str:
    text = "not set" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
