"""Documents and recordings for DeepSeek's tools: kept on disk while they arrive and are sent, not in memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.gateway.callers import CallerProfile, mask_keys_in
from deepseek_async.gateway.files import FileStore
from deepseek_async.gateway.replies import told_of_the_disk
from deepseek_async.gateway.sending import Sending
from deepseek_async.gateway.upload_form import read_form
from deepseek_async.resources.raw import RawResponse

LARGEST: Final = 100 * 1024 * 1024
"""Bytes of a file: DeepSeek's limit for documents (DeepSeek docs, OCR guide)."""

_PATHS: Final[Mapping[str, str]] = {
    f"{base}/tools/{tool}": tool for base in ("", "/v1", "/beta") for tool in ("ocr", "asr")
}


class ToolUploads:
    """Handler of requests whose file a tool reads."""

    def __init__(self, files: FileStore, sending: Sending) -> None:
        self._files = files
        self._sending = sending

    @staticmethod
    def takes(request: web.BaseRequest, path: str) -> bool:
        """Whether a request is one of these; any other to the same paths is no upload."""
        return path in _PATHS and request.method == "POST" and request.content_type.startswith("multipart/")

    async def answer(self, request: web.BaseRequest, caller: CallerProfile, path: str) -> web.Response:
        """Answer a request. Raises GatewayError and DeepSeekError."""
        file = self._files.new_path()  # unfinished as long as it exists: the next start removes it
        try:
            with told_of_the_disk():
                fields, name = await read_form(request, file, LARGEST)
            async with self._sending(caller) as client:
                answered = await _sent(client, _PATHS[path], name, file, fields)
        finally:
            with suppress(OSError):
                file.unlink()
        return web.Response(
            body=mask_keys_in(answered.parse().encoded()),
            status=answered.status_code,
            headers={} if answered.request_id is None else {"X-DS-Trace-Id": answered.request_id},
            content_type="application/json",
        )


async def _sent(client: AsyncDeepSeek, tool: str, name: str, file: Path, fields: Mapping[str, str]) -> RawResponse[Any]:
    tools = client.tools.with_raw_response
    if tool == "ocr":
        return await tools.ocr((name, file), purpose=cast("Any", fields.get("purpose", "")))
    return await tools.transcribe((name, file))
