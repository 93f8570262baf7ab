"""Usage of streams, requested with ``include_usage`` from servers that omit it by default.

DeepSeek sends it on the last chunk of every stream (DeepSeek docs, create-chat-completion, as of 2026-11). Servers that
follow OpenAI send it only with ``stream_options.include_usage`` (litellm, vLLM, llama.cpp), and a few reject that
field.
"""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.errors import APIError, APIStatusError, BadRequestError, UnprocessableEntityError
from deepseek_async.transport.hosts import is_deepseeks

_FIELD: Final = ("stream_options", "include_usage")


class StreamUsage(msgspec.Struct):
    """Per-server state: whether to send ``include_usage``, and whether the server accepts it."""

    wanted: bool
    taken: bool = False
    """Whether the server has accepted the field before, so that it cannot be why a request is rejected."""

    @classmethod
    def of(cls, origin: str) -> StreamUsage:
        """Initial state for the server at ``origin``."""
        return cls(wanted=not is_deepseeks(origin))

    def may_be_why(self, failure: APIError) -> bool:
        """Whether the field may be why the server rejects a request: the error names it, or it was never accepted."""
        if not isinstance(failure, APIStatusError):
            return False
        said = f"{failure.message} {failure.body}"
        if any(name in said for name in _FIELD):
            return True
        return not self.taken and type(failure) in {BadRequestError, UnprocessableEntityError}

    def accepted(self, *, asked: bool, without: bool) -> None:
        """Record an accepted request: ``asked`` with the field, or ``without`` it after a rejection."""
        self.taken = self.taken or asked
        self.wanted = self.wanted and not without
