"""``deepseek-async transcribe``: speech to text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.terminal import harmless
from deepseek_async.cli.tool_output import AsJson, say_fees, write_json

if TYPE_CHECKING:
    from deepseek_async.types import Transcription

ABOUT: Final = "Transcribe a recording. One hour costs 0.39 yuan."
EXAMPLES: Final = """\
For example:

    deepseek-async transcribe memo.wav
    deepseek-async transcribe memo.ogg --json | jq -r .text"""


def transcribe(
    file: Annotated[Path, Parameter(help="16-bit PCM in WAV or Opus in Ogg, at most 120 s and 8 MiB.")],
    *,
    as_json: AsJson = False,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    with runner() as loop:
        heard = loop.run(_heard(connection or ConnectionFlags(), file))
    if as_json:
        write_json(heard)
    else:
        sys.stdout.write(harmless(heard.text).rstrip("\n") + "\n")
    say_fees(heard)
    return 0


async def _heard(connection: ConnectionFlags, file: Path) -> Transcription:
    async with connection.client() as client:
        return await client.tools.transcribe(file)
