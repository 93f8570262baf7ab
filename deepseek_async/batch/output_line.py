"""What an output line says of its row. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec
import orjson

from deepseek_async.batch.line_format import FACTS, fact, is_intact


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
        server = b"" if self.server is None else fact("server", orjson.dumps(self.server))
        return fact("simulated", b"true") + server


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


decode_finished: Final = msgspec.json.Decoder(FinishedRow).decode


def decode_line(text: bytes) -> FinishedRow | None:
    """Decode the row in ``text`` (see ``text_of``); None if the line is damaged or holds no row.

    A ``pending`` line does not finish its row. Lines without a checksum, from another program, are accepted. An input
    line has a ``custom_id`` too, but neither response nor error.
    """
    if not is_intact(text):
        return None
    try:
        row = decode_finished(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return row if bytes(row.response) or bytes(row.error) else None
