"""Requests that no method generates an answer for: lists, metadata, and paths that the client does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.call.caller import Caller
from deepseek_async.errors import APIResponseValidationError, InvalidRequestError, NotFoundError
from deepseek_async.relay.exchange import RelayRequest, RelayResponse
from deepseek_async.relay.header_fields import JSON
from deepseek_async.relay.paths import OTHER, meaning_of
from deepseek_async.relay.tool_requests import SPEECH
from deepseek_async.resources.resource_client import ResourceClient
from deepseek_async.resources.route import Route
from deepseek_async.types import Answer
from deepseek_async.types.json_text import read, write

_FEES: Final = "/tools/"
"""In a path that is billed by the unit; those that are known are answered elsewhere."""


class _Opaque(Answer):
    """An answer of which only the bytes are known."""


class OtherRequests:
    """Passes requests on through the client's limits and with its key."""

    def __init__(self, connection: ResourceClient) -> None:
        self._connection = connection

    async def answer(self, request: RelayRequest, method: str, path: str) -> RelayResponse:
        """Answer ``request`` to ``path``. Raises InvalidRequestError for one that is not safe to pass on."""
        operation, family = meaning_of(method, path)
        route = Route(self._connection, family)
        reads = method in {"GET", "HEAD"}
        body: Mapping[str, Any] | None = None
        if operation is OTHER:
            _check_cost(path, route.caller, reads=reads)
        if request.body and not reads:
            body = _json_object(request)
        call = route.call(
            *(operation, method, path, body),
            headers=request.headers,
            timeout=request.timeout,
            once=operation is OTHER and not reads,
        )
        try:
            answer = await route.answer(call, _decode)
        except NotFoundError as error:
            if operation.name != "files.delete" or error.attempts < 2:
                raise
            # The first attempt deleted it; only its response was lost.
            answer = _Opaque(_wire=write({"id": path.rpartition("/")[2], "object": "file", "deleted": True}))
        return RelayResponse(
            status=200 if call.response is None else call.response.status,
            fields=call.response.headers if call.response else {},
            content_type=JSON,
            body=answer._wire,  # noqa: SLF001
        )


def _check_cost(path: str, caller: Caller, *, reads: bool) -> None:
    """Raise InvalidRequestError if the client promises what it cannot keep for a request to ``path``."""
    if path.partition("?")[0].startswith(SPEECH):
        raise InvalidRequestError(
            "speech over a WebSocket is not relayed: POST the text to /v1/tools/tts, or call client.tools.speech"
        )
    if _FEES in path.partition("?")[0]:
        raise InvalidRequestError(
            f"{path:.200} is not known and may be billed by the unit; known are POST /v1/tools/search, fetch, ocr, asr "
            "and tts"
        )
    if caller.budget is not None and not reads:
        raise InvalidRequestError(
            f"{path} is not a path that this client knows, so its cost cannot be bounded: it is refused while the "
            "client has a budget"
        )


def _json_object(request: RelayRequest) -> Mapping[str, Any]:
    try:
        found = read(request.body, errors="strict")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("stream"):
        raise InvalidRequestError(
            f"{request.path} is not a path that this client knows: its body must be a JSON object without stream"
        )
    return found


def _decode(wire: bytes) -> _Opaque:
    try:
        read(wire)
    except (ValueError, RecursionError):
        failure = APIResponseValidationError(
            "the server's answer is not JSON: only JSON is passed on from paths that this client does not know",
            retryable=False,
            reason="form",
        )
    else:
        return _Opaque(_wire=wire)
    raise failure
