"""Requests to the tools beside the models, billed by the unit: each becomes the call that ``client.tools`` makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from deepseek_async.call.caller import Call
from deepseek_async.errors import InvalidRequestError
from deepseek_async.relay.answer_bytes import json_of
from deepseek_async.relay.exchange import RelayRequest, RelayResponse
from deepseek_async.relay.form import ReceivedForm, read_form
from deepseek_async.relay.header_fields import JSON
from deepseek_async.relay.streamed import StreamedBody
from deepseek_async.resources.resource_client import ResourceClient
from deepseek_async.resources.standalone import Tools
from deepseek_async.types import Answer
from deepseek_async.types.json_text import read

SPEECH: Final = "/tools/tts"
TOOLS: Final = frozenset({"/tools/search", "/tools/fetch", "/tools/ocr", "/tools/asr", SPEECH})
"""Paths, without ``/v1``, to POST to."""

_AUDIO: Final = "application/octet-stream"


class ToolRequests:
    """Answers requests to tools, with their own limits, timers, attempts and fees."""

    def __init__(self, connection: ResourceClient) -> None:
        self._tools = Tools(connection)

    async def answer(self, request: RelayRequest, path: str) -> RelayResponse:
        """Answer a POST to ``path``, one of ``TOOLS``. Raises the errors of a call.

        The body of a speech is a StreamedBody of audio.
        """
        calls: list[Call] = []
        tools = self._tools.recorded(calls)
        if path == SPEECH:
            return await self._speech(tools, request, calls)
        answer = await _whole(tools, request, path)
        response = calls[-1].response
        return RelayResponse(
            status=200 if response is None else response.status,
            fields={} if response is None else response.headers,
            content_type=JSON,
            body=json_of(answer),
        )

    @staticmethod
    async def _speech(tools: Tools, request: RelayRequest, calls: list[Call]) -> RelayResponse:
        options = _object_in(request)
        audio = await tools.speech(
            options.pop("text", cast("str", None)),
            extra_body=options,
            extra_headers=request.headers,
            timeout=request.timeout,
        )
        response = calls[-1].response
        fields: Mapping[str, str] = {} if response is None else response.headers
        return RelayResponse(
            status=200,
            fields=fields,
            content_type=fields.get("content-type", _AUDIO),
            body=StreamedBody(audio, b"".join, b"", None),
        )


async def _whole(tools: Tools, request: RelayRequest, path: str) -> Answer:
    timeout = request.timeout
    if path == "/tools/ocr":
        form = _form_in(request)
        return await tools.ocr(form.files["file"], purpose=cast("Any", form.fields.get("purpose", "")), timeout=timeout)
    if path == "/tools/asr":
        return await tools.transcribe(_form_in(request).files["file"], timeout=timeout)
    options = _object_in(request)
    asked: dict[str, Any] = {"extra_headers": request.headers, "timeout": timeout}
    if path == "/tools/fetch":
        return await tools.fetch(options.pop("url", None), extra_body=options, **asked)
    count, question = options.pop("count", None), options.pop("ori_question", None)
    return await tools.search(
        options.pop("query", None), count=count, ori_question=question, extra_body=options, **asked
    )


def _object_in(request: RelayRequest) -> dict[str, Any]:
    try:
        found = read(request.body, errors="strict")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("stream"):
        raise InvalidRequestError(f"the body for {request.path} must be a JSON object without stream")
    return found


def _form_in(request: RelayRequest) -> ReceivedForm:
    form = read_form(request.body, request.content_type)
    if "file" not in form.files:
        raise InvalidRequestError("the form of the upload must have a field named file")
    return form
