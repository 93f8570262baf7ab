"""An answer as bytes for a foreign client. Pure."""

from __future__ import annotations

from deepseek_async.codec.repair import regular
from deepseek_async.types import Answer
from deepseek_async.types.json_text import write


def json_of(answer: Answer) -> bytes:
    """Return ``answer`` as the server sent it, or normalized if strict parsers may reject that."""
    wire = answer._wire  # noqa: SLF001
    return wire if wire and type(wire) is bytes else write(regular(answer))
