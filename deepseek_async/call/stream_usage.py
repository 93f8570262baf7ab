"""The usage of a stream, asked for where it does not come by itself.

DeepSeek's own servers send it on the last chunk of every stream (its docs, create-chat-completion, as of 2026-11).
Those that follow OpenAI send none unless ``stream_options.include_usage`` says so (litellm, vLLM, llama.cpp), and a
few refuse that field.
"""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.errors import APIError, APIStatusError, BadRequestError, UnprocessableEntityError
from deepseek_async.transport.hosts import is_deepseeks

_FIELD: Final = ("stream_options", "include_usage")


class StreamUsage(msgspec.Struct):
    """What is known of one server: whether its streams are to be asked, and whether it takes that."""

    wanted: bool
    taken: bool = False
    """Whether it has taken the field: then it is not why a request is refused."""

    @classmethod
    def of(cls, origin: str) -> StreamUsage:
        """Nothing is known yet of the server at ``origin``."""
        return cls(wanted=not is_deepseeks(origin))

    def may_be_why(self, failure: APIError) -> bool:
        """Whether the server refuses a request for the field: it names it, or has not taken it before."""
        if not isinstance(failure, APIStatusError):
            return False
        said = f"{failure.message} {failure.body}"
        if any(name in said for name in _FIELD):
            return True
        return not self.taken and type(failure) in {BadRequestError, UnprocessableEntityError}

    def accepted(self, *, asked: bool, without: bool) -> None:
        """A request was accepted that asked, or that did ``without`` after one that asked was refused."""
        self.taken = self.taken or asked
        self.wanted = self.wanted and not without
