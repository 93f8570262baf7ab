"""``deepseek-async say``: text to speech."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.tool_output import say_fees

if TYPE_CHECKING:
    from deepseek_async.types import SpokenText

ABOUT: Final = "Convert text to speech. 10,000 characters cost 1.5 yuan; a Chinese one counts twice."
EXAMPLES: Final = """\
For example:

    deepseek-async say "The tide is coming in." -o tide.wav
    deepseek-async say "$(cat page.md)" --voice tide -o page.wav"""


def say(
    text: Annotated[str, Parameter(help="At most 10,000 characters.")],
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "-o"), help="File to write, atomically once the audio is complete.")
    ],
    voice: Annotated[str | None, Parameter(help="stella or tide. Default: stella.")] = None,
    audio_format: Annotated[
        Literal["wav", "pcm"] | None,
        Parameter(name="--format", help="pcm is 24 kHz, 16 bits, mono. Default: wav."),
    ] = None,
    keep_markdown: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Speak Markdown markup too.")
    ] = False,
    force: Annotated[bool, Parameter(negative=(), show_default=False, help="Overwrite an existing file.")] = False,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415
    from deepseek_async.files.replacement import check_replaceable  # noqa: PLC0415

    check_replaceable(output, force=force)
    options = {"voice_id": voice, "format": audio_format, "filter_markdown": False if keep_markdown else None}
    with runner() as loop:
        spoken = loop.run(_written(connection or ConnectionFlags(), text, output, options, force=force))
    say_fees(spoken)
    return 0


async def _written(
    connection: ConnectionFlags, text: str, output: Path, options: dict[str, Any], *, force: bool
) -> SpokenText:
    async with connection.client() as client:
        audio = await client.tools.speech(text, **options)
        return await audio.write_to(output, force=force)
