"""The usage of a stream, asked for where it does not come by itself.

DeepSeek's own servers send it on the last chunk of every stream (its docs, create-chat-completion, as of 2026-11).
Those that follow OpenAI send none unless ``stream_options.include_usage`` says so (litellm, vLLM, llama.cpp), and a
few refuse that field.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from deepseek_async.errors import APIError, APIStatusError, BadRequestError, UnprocessableEntityError
from deepseek_async.transport.hosts import is_deepseeks

if TYPE_CHECKING:
    from deepseek_async.call.exchange import Exchange
    from deepseek_async.call.lifecycle import Call

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


async def accepted(
    call: Call,
    attempt: Callable[[], Awaitable[Exchange]],
    back_off: Callable[[APIError], Awaitable[None]],
) -> Exchange:
    """The first attempt of a stream that the server accepts. Those that fail are retried as ``back_off`` says."""
    without: StreamUsage | None = None
    while True:
        server = call.caller.stream_usage
        if server.wanted and server is not without:
            call.request = call.request.asking_usage()
        try:
            exchange = await attempt()
        except APIError as error:
            failure = error
        else:
            server.accepted(asked=call.request.asks_usage, without=server is without)
            return exchange
        if call.request.asks_usage and server.may_be_why(failure):
            call.request, without = call.request.not_asking_usage(), server
        else:
            await back_off(failure)
