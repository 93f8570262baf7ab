"""Response objects with the headers of the live service, and response ids."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from deepseek_async.simulator.wire.refusals import JSON, Refusal

EVENT_STREAM = "text/event-stream; charset=utf-8"
MARK = "51a1a7ed51a1a7ed"
"""Prefix of every id, which identifies simulated answers wherever they are stored."""
_MASK = (1 << 64) - 1
_STRIDE = 0x9E3779B97F4A7C15  # odd, so that ids never collide


class _Untyped(web.Response):
    """A response without a content type, as the real gateway sends some."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Content-Type", None)


class Responses:
    """Creates responses; ids depend on the seed and the order of answers, not on randomness."""

    def __init__(self, seed: int) -> None:
        self._serial = seed

    def next_id(self) -> str:
        """Return 32 hex digits, unique within the process."""
        self._serial += 1
        return f"{MARK}{self._serial * _STRIDE & _MASK:016x}"

    def whole(self, body: bytes, content_type: str = JSON) -> web.Response:
        return web.Response(body=body, headers=self._headers(content_type))

    def refusing(self, refusal: Refusal) -> web.Response:
        headers = self._headers(refusal.content_type)
        headers.update(refusal.headers)
        kind = web.Response if refusal.content_type else _Untyped
        return kind(status=refusal.status, body=refusal.body, headers=headers)

    def streaming(self, *, events: bool, content_type: str = JSON) -> web.StreamResponse:
        """Create a response with an incremental body: a stream of events, or a delayed plain one.

        aiohttp sends it chunked, or to an HTTP/1.0 client until the connection closes.
        """
        headers = self._headers(EVENT_STREAM if events else content_type)
        if events:
            headers["Cache-Control"] = "no-cache"
        return web.StreamResponse(headers=headers)

    def _headers(self, content_type: str | None) -> CIMultiDict[str]:
        """Return headers with a trace id, and without a request id or rate limit headers."""
        headers: CIMultiDict[str] = CIMultiDict(
            {
                "Server": "elb",
                "X-DS-Trace-ID": self.next_id(),
                "Vary": "origin, access-control-request-method, access-control-request-headers",
                "Access-Control-Allow-Credentials": "true",
                "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
                "X-Content-Type-Options": "nosniff",
            }
        )
        if content_type is not None:
            headers["Content-Type"] = content_type
        return headers
