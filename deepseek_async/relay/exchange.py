"""What goes into a relay and what comes out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from deepseek_async.errors import DeepSeekError
from deepseek_async.relay.header_fields import returned
from deepseek_async.relay.streamed import StreamedBody
from deepseek_async.transport.timeouts import Timeouts


class RelayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a foreign client."""

    method: str
    path: str
    """Path below the base URL with its query, e.g. ``/chat/completions``; ``/v1`` before it is accepted."""
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] | None = None
    """Additional header fields for the server; ``passed_on`` selects them from those of a client."""
    timeout: float | Timeouts | None = None
    """Seconds that the caller waits for the whole answer, or for the next bytes of a stream, whatever the engine does
    meanwhile; or the Timeouts of the call; None for those of the client."""

    # The struct's default repr would print the prompt.
    __repr__ = object.__repr__


class RelayResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a RelayRequest. ``body`` is a StreamedBody, to be closed, if the request asked for a stream."""

    status: int
    fields: Mapping[str, str]
    """Header fields as the server sent them, those of its own connection and of its own body included."""
    content_type: str
    """That of ``body``."""
    body: bytes | StreamedBody
    failure: DeepSeekError | None = None
    """The error that this response stands for; its ``partial`` and ``billed_attempts`` are what was paid for."""

    @property
    def headers(self) -> dict[str, str]:
        """Header fields that are for the client: see ``returned``."""
        return returned(self.fields, self.content_type)

    __repr__ = object.__repr__
