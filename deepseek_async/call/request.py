"""Request of one call: operation, parameters and wire bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from deepseek_async.codec.multipart import MultipartForm
from deepseek_async.codec.request import BETA, MESSAGES, MESSAGES_ELSEWHERE, encode_request
from deepseek_async.errors import InvalidRequestError
from deepseek_async.files.upload import UploadBody
from deepseek_async.text.omitted import is_omitted
from deepseek_async.transport.protocol import HTTPRequest
from deepseek_async.types.json_text import read
from deepseek_async.types.operation import Operation

_STREAM_OPTIONS: Final = "stream_options"
_TELLING: Final = frozenset({"/responses", MESSAGES, MESSAGES_ELSEWHERE})
"""Paths whose streams always report usage in one of the last events."""
_ASKING: Final = b',"stream_options":{"include_usage":true}}'
"""End of a body to which ``include_usage`` was added."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """Immutable request, encoded once for all attempts; changes return another one."""

    operation: Operation
    outgoing: HTTPRequest
    parameters: Mapping[str, Any]
    """Parameters of the body; empty for a GET and for an upload."""
    form: MultipartForm | None = None
    """Multipart body of an upload."""
    fees: Mapping[str, int] | None = None
    """Upper bound of fees beside tokens for one attempt, by kind of fee."""
    choice: int = 0
    """Which of several answers to the same request it asks for (``n``); each has its own place in a cache."""

    # The struct's default repr would print the prompt.
    __repr__ = object.__repr__

    @property
    def wire(self) -> bytes:
        """The body; empty for an upload that is streamed."""
        body = self.outgoing.body
        return body if isinstance(body, bytes) else b""

    @property
    def handed_over(self) -> bool:
        """Whether the server may have received the complete request; False for an upload that broke off."""
        body = self.outgoing.body
        return not isinstance(body, UploadBody) or body.progress.whole

    @property
    def told(self) -> bytes:
        """The request as reported to listeners: the body, or an upload's form without the file."""
        return self.wire if self.form is None else self.form.about()

    def texts(self) -> Mapping[str, Any]:
        """Return the texts decoded from the wire bytes, so that a content filter misses nothing."""
        if self.form is not None:
            return self.form.texts()
        texts: Mapping[str, Any] = read(self.wire) if self.wire else {}
        return texts

    @property
    def asks_usage(self) -> bool:
        """Whether ``include_usage`` was added by ``asking_usage``; False if the caller set it."""
        return self.wire.endswith(_ASKING) and _STREAM_OPTIONS not in self.parameters

    def asking_usage(self) -> Request:
        """Return a streaming request with ``include_usage``, unless the parameters set it."""
        named = (
            _STREAM_OPTIONS in self.parameters
            or self.outgoing.path.partition("?")[0] in _TELLING
            or self.operation.has_fee
        )
        return self if named or self.asks_usage else self._sending(self.wire[:-1] + _ASKING)

    def not_asking_usage(self) -> Request:
        """Undo ``asking_usage``."""
        return self._sending(self.wire.removesuffix(_ASKING) + b"}") if self.asks_usage else self

    def _sending(self, body: bytes) -> Request:
        return msgspec.structs.replace(self, outgoing=msgspec.structs.replace(self.outgoing, body=body))

    def with_query(self, query: Mapping[str, Any]) -> Request:
        """Return the request with ``query`` parameters in its URL; lists repeat a name, None is left out."""
        if not isinstance(query, Mapping):
            raise InvalidRequestError(
                f"extra_query must be a mapping, for example {{'trace': 'on'}}, got {query!r:.80}"
            )
        given = {name: value for name, value in query.items() if value is not None and not is_omitted(value)}
        spelled = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
        if not spelled:
            return self
        path = self.outgoing.path
        path = f"{path}{'&' if '?' in path else '?'}{urlencode(spelled, doseq=True)}"
        return msgspec.structs.replace(self, outgoing=msgspec.structs.replace(self.outgoing, path=path))

    def without_beta(self) -> Request:
        """Return the request for a server without a beta base."""
        path = self.outgoing.path
        if not path.startswith(BETA):
            return self
        outgoing = msgspec.structs.replace(self.outgoing, path=path[len(BETA) - 1 :])
        return msgspec.structs.replace(self, outgoing=outgoing)

    def asking(self, model: str, limit: int, *, elsewhere: bool) -> Request:
        """Return the request for another ``model``, or for ``elsewhere``, without the caller's own headers.

        The parameters are kept, because the answer replaces the original one.
        """
        body = encode_request({**self.parameters, "model": model}, limit)
        headers = None if elsewhere else self.outgoing.headers
        outgoing = msgspec.structs.replace(self.outgoing, body=body, headers=headers)
        return msgspec.structs.replace(self, outgoing=outgoing)

    def saying(self, path: str, texts: Mapping[str, Any], limit: int) -> Request:
        """Return the request with other ``texts`` at ``path``; ``limit`` is the maximum JSON size in bytes."""
        outgoing, form = self.outgoing, self.form
        if form is not None:
            form = form.with_texts(texts)
            headers = {**(outgoing.headers or {}), "Content-Type": form.header}
            outgoing = msgspec.structs.replace(outgoing, path=path, body=form.encoded(), headers=headers)
            return msgspec.structs.replace(self, outgoing=outgoing, form=form)
        body = encode_request(texts, limit) if outgoing.body is not None else None
        outgoing = msgspec.structs.replace(outgoing, path=path, body=body)
        return msgspec.structs.replace(self, outgoing=outgoing, parameters=texts)
