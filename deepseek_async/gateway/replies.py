"""Answers of a gateway in the protocol of the caller: OpenAI's, or Anthropic's under ``/anthropic``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import orjson
from aiohttp import web

from deepseek_async.errors import OutputWriteError
from deepseek_async.files.private_files import reason_of
from deepseek_async.gateway.callers import mask_keys, mask_keys_in

_LOG: Final = logging.getLogger("deepseek_async.gateway")

_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI_TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


class GatewayError(Exception):
    """A request that the gateway answers itself, with an HTTP status and a sentence."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def not_found(kind: str, named: str) -> GatewayError:
    """Return the error for an object that does not exist, or is another caller's."""
    return GatewayError(404, f"No such {kind}: {named!r:.80}", code="not_found", param="id")


def json_reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return ``content`` as JSON."""
    return web.Response(
        body=mask_keys_in(orjson.dumps(content)),
        status=status,
        # A text of a caller in it is nothing that a browser may take for a page.
        headers={"X-Content-Type-Options": "nosniff", **(headers or {})},
        content_type="application/json",
        charset="utf-8",
    )


def error_reply(error: GatewayError, path: str) -> web.Response:
    """Return an error in the protocol of ``path``."""
    return json_reply(error_body(error, path), error.status, error.headers)


def error_body(error: GatewayError, path: str) -> dict[str, Any]:
    """Return the JSON body of an error in the protocol of ``path``."""
    message = mask_keys(error.message)
    if path.startswith("/anthropic/"):
        kind = _ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    kind = _OPENAI_TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": error.param, "code": error.code}}


@contextmanager
def told_of_the_disk() -> Iterator[None]:
    """Raise GatewayError (507) for a file of the gateway that cannot be written in the block, without its path."""
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except OutputWriteError as error:
        reason = error.message.rpartition(": ")[2]
    except OSError as error:
        reason = reason_of(error)
    else:
        return
    _LOG.error("cannot write the gateway's folder: %s", reason)
    raise GatewayError(
        507, f"the gateway cannot write its folder: {reason}; its operator must make room", code="insufficient_storage"
    )
