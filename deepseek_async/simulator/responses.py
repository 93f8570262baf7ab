"""Response objects with the headers of the live service, and the numbers that name them."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from deepseek_async.simulator.wire.refusals import JSON, Refusal

EVENT_STREAM = "text/event-stream; charset=utf-8"
MARK = "51a1a7ed51a1a7ed"
"""How every id begins, so that what is made up is known for that wherever it is kept."""
_MASK = (1 << 64) - 1
_STRIDE = 0x9E3779B97F4A7C15  # odd, so that serial numbers never collide


class _Untyped(web.Response):
    """Some answers of the real gateway carry a body and no content type."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Content-Type", None)


class Responses:
    """Numbers are drawn from the seed and the order of the answers, not from chance."""

    def __init__(self, seed: int) -> None:
        self._serial = seed

    def next_id(self) -> str:
        """32 hex digits, never the same twice."""
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
        """An answer whose body is written bit by bit: a stream of events, or a plain one that is held up.

        aiohttp sends it in chunks, or to a caller that speaks HTTP/1.0 until the connection closes.
        """
        headers = self._headers(EVENT_STREAM if events else content_type)
        if events:
            headers["Cache-Control"] = "no-cache"
        return web.StreamResponse(headers=headers)

    def _headers(self, content_type: str | None) -> CIMultiDict[str]:
        """There is a trace id on every answer, and neither a request id nor anything about rates."""
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
