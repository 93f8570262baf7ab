"""JSON of a server in a form that strict readers accept, on one line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from deepseek_async.types.json_text import read


def one_line(wire: bytes) -> bytes:
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
    return orjson.dumps(presentable(read(wire)))


def presentable(value: Any) -> Any:
    """Return ``value`` with text that UTF-8 cannot encode replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {presentable(name): presentable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [presentable(item) for item in value]
    return value
