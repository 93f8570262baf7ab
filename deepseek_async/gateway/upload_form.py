"""Reading of an uploaded form: its file goes to the disk as it arrives, whatever its size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from deepseek_async.gateway.arrival import arriving
from deepseek_async.gateway.replies import GatewayError
from deepseek_async.process.worker_threads import FILE_THREADS

_PIECE: Final = 1 << 16
_LONGEST_FIELD: Final = 1_024
_MOST_FIELDS: Final = 32


async def read_form(request: web.BaseRequest, path: Path, most: int) -> tuple[dict[str, str], str]:
    """Write the file of a form to ``path``, and sync it. Return the other fields and the name of the file.

    Raises GatewayError for a form that cannot be read, ends early or has no file, or one above ``most`` bytes, and
    OSError.
    """
    if not request.content_type.startswith("multipart/"):
        raise GatewayError(400, "the body must be multipart/form-data with the field file")
    fields: dict[str, str] = {}
    filename: str | None = None
    try:
        async with arriving(request):
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader) or part.name is None:
                    raise GatewayError(400, "the form must have named fields only")
                if part.name == "file" and filename is None:
                    filename = part.filename or "upload"
                    await _write(part, path, most)
                elif part.name in fields or part.name == "file" or len(fields) == _MOST_FIELDS:
                    raise GatewayError(400, f"the form must have one file and at most {_MOST_FIELDS} fields, each once")
                else:
                    fields[part.name] = await _text_of(part)
    except (ValueError, RuntimeError, HttpProcessingError) as error:  # the last for header fields of a part
        raise GatewayError(
            400, f"cannot read the form: it is malformed, or the upload ended early: {error!s:.120}"
        ) from None
    if filename is None:
        raise GatewayError(400, "file is required", param="file")
    return fields, filename


async def _text_of(part: BodyPartReader) -> str:
    value = b""
    while piece := await part.read_chunk(_PIECE):
        value += piece
        if len(value) > _LONGEST_FIELD:
            raise GatewayError(400, f"{part.name!r:.40} must have at most {_LONGEST_FIELD} bytes")
    return value.decode("utf-8", "replace")


async def _write(part: BodyPartReader, path: Path, most: int) -> None:
    size = 0
    with path.open("wb") as file:
        while piece := await part.read_chunk(_PIECE):
            size += len(piece)
            if size > most:
                raise GatewayError(413, f"the file must have at most {most:,} bytes", param="file")
            file.write(piece)
        file.flush()
        await FILE_THREADS.run(os.fsync, file.fileno())
