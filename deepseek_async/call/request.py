"""What one call says: the operation, its parameters, and the bytes that they are sent as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.codec.multipart import MultipartForm
from deepseek_async.codec.request import BETA, MESSAGES, MESSAGES_ELSEWHERE, encode_request
from deepseek_async.files.upload import UploadBody
from deepseek_async.transport.protocol import HTTPRequest
from deepseek_async.types.json_text import read
from deepseek_async.types.operation import Operation

_STREAM_OPTIONS: Final = "stream_options"
_TELLING: Final = frozenset({"/responses", MESSAGES, MESSAGES_ELSEWHERE})
"""Where one of the last events of every stream has the usage."""
_ASKING: Final = b',"stream_options":{"include_usage":true}}'
"""How a body ends that we have made ask for its usage."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """Written once, however often it is sent; what is to be sent instead is another one."""

    operation: Operation
    outgoing: HTTPRequest
    parameters: Mapping[str, Any]
    """What the body says; empty for a look at what is there and for an upload."""
    form: MultipartForm | None = None
    """What the body is, for an upload."""
    fees: Mapping[str, int] | None = None
    """What an attempt can cost at most beside tokens, by kind of fee."""

    # A struct's own repr would show the prompt to whoever prints locals.
    __repr__ = object.__repr__

    @property
    def wire(self) -> bytes:
        """The body; empty for an upload that goes out piece by piece."""
        body = self.outgoing.body
        return body if isinstance(body, bytes) else b""

    @property
    def handed_over(self) -> bool:
        """Whether the server may have all of it. Of an upload that broke off before its end it has not."""
        body = self.outgoing.body
        return not isinstance(body, UploadBody) or body.progress.whole

    @property
    def told(self) -> bytes:
        """What those who listen are told of it: the body, and of an upload what is said of the file."""
        return self.wire if self.form is None else self.form.about()

    def texts(self) -> Mapping[str, Any]:
        """What it says, read from what is to be sent, so that a content filter misses nothing of it."""
        if self.form is not None:
            return self.form.texts()
        texts: Mapping[str, Any] = read(self.wire) if self.wire else {}
        return texts

    @property
    def asks_usage(self) -> bool:
        """Whether we have made it ask for its usage: whoever asks by himself is not meant."""
        return self.wire.endswith(_ASKING) and _STREAM_OPTIONS not in self.parameters

    def asking_usage(self) -> Request:
        """The same for a stream that is to tell its usage, unless the parameters say whether it is."""
        named = _STREAM_OPTIONS in self.parameters or self.outgoing.path in _TELLING or self.operation.has_fee
        return self if named or self.asks_usage else self._sending(self.wire[:-1] + _ASKING)

    def not_asking_usage(self) -> Request:
        """The same as it was before ``asking_usage``."""
        return self._sending(self.wire.removesuffix(_ASKING) + b"}") if self.asks_usage else self

    def _sending(self, body: bytes) -> Request:
        return msgspec.structs.replace(self, outgoing=msgspec.structs.replace(self.outgoing, body=body))

    def without_beta(self) -> Request:
        """The same for a server that has no beta base."""
        path = self.outgoing.path
        if not path.startswith(BETA):
            return self
        outgoing = msgspec.structs.replace(self.outgoing, path=path[len(BETA) - 1 :])
        return msgspec.structs.replace(self, outgoing=outgoing)

    def asking(self, model: str, limit: int, *, elsewhere: bool) -> Request:
        """The same sent to another ``model``, or ``elsewhere``, which is told none of the caller's own headers.

        The parameters stay, because the answer stands in for one to them.
        """
        body = encode_request({**self.parameters, "model": model}, limit)
        headers = None if elsewhere else self.outgoing.headers
        outgoing = msgspec.structs.replace(self.outgoing, body=body, headers=headers)
        return msgspec.structs.replace(self, outgoing=outgoing)

    def saying(self, path: str, texts: Mapping[str, Any], limit: int) -> Request:
        """The same with other ``texts``, and at another ``path``; ``limit`` is the most bytes of JSON."""
        outgoing, form = self.outgoing, self.form
        if form is not None:
            form = form.with_texts(texts)
            headers = {**(outgoing.headers or {}), "Content-Type": form.header}
            outgoing = msgspec.structs.replace(outgoing, path=path, body=form.encoded(), headers=headers)
            return msgspec.structs.replace(self, outgoing=outgoing, form=form)
        body = encode_request(texts, limit) if outgoing.body is not None else None
        outgoing = msgspec.structs.replace(outgoing, path=path, body=body)
        return msgspec.structs.replace(self, outgoing=outgoing, parameters=texts)
