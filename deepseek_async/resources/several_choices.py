"""``n`` above 1: one request for each choice, the first one ahead so that the others find its prompt cached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from deepseek_async.call.caller import Call
from deepseek_async.call.stream import ChatCompletionStream, ChoicesStream
from deepseek_async.codec.choices import failed_choices, together
from deepseek_async.codec.request import encode_request
from deepseek_async.codec.tokens import estimate_prompt_tokens
from deepseek_async.errors import DeepSeekError, InvalidRequestError
from deepseek_async.lint import LintMode
from deepseek_async.resources.chat_calls import ChatCalls
from deepseek_async.structured import StructuredOutput
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import ChatCompletion

LONG_PROMPT: Final = 1024
"""Prompt tokens from which the first request goes alone.

A prefix is cached once the request that brought it has ended, and concurrent ones all miss (DeepSeek docs, Context
Caching; measured in August 2026). Below this, waiting saves less than $0.00015 a choice at the flash price, and it
doubles the time to the answer.
"""


async def several_choices(
    ask: Callable[[int], Awaitable[ChatCompletion]],
    n: int,
    *,
    one_ahead: bool,
) -> ChatCompletion:
    """Return the answers of ``ask(0)`` to ``ask(n - 1)`` as the choices of one completion.

    With ``one_ahead`` the others are asked once the first has answered, and not at all if it fails. Raises the first
    failure when all have ended, with the choices that arrived as ``partial``.
    """
    answers: dict[int, ChatCompletion] = {}
    failures: dict[int, DeepSeekError] = {}

    async def one(index: int) -> None:
        try:
            answers[index] = await ask(index)
        except DeepSeekError as error:
            failures[index] = error

    rest = range(n)
    if one_ahead:
        await one(0)
        rest = range(1, n) if not failures else range(0)
    # A cancelled gather ends once every task has ended: their connections and slots are free then.
    for crash in await asyncio.gather(*map(one, rest), return_exceptions=True):
        if crash is not None:
            raise crash
    if failures:
        raise failed_choices(failures, dict(sorted(answers.items())), n)
    return together(dict(sorted(answers.items())))


class SeveralChoices:
    """The calls for the choices of one request, within one deadline."""

    def __init__(
        self,
        calls: ChatCalls,
        body: Mapping[str, Any],
        n: int,
        *,
        timeouts: Timeouts,
        headers: Mapping[str, str] | None,
        lint: LintMode | None,
        deliberate: Iterable[str] | None,
        query: Mapping[str, Any] | None = None,
    ) -> None:
        self._calls = calls
        self._body = body
        self._n = n
        self._timeouts = timeouts
        self._headers = headers
        self._lint = lint
        self._deliberate = deliberate
        self._query = query
        self._loop = asyncio.get_running_loop()
        self._until = None if timeouts.total is None else self._loop.time() + timeouts.total
        self._one_ahead = estimate_prompt_tokens(encode_request(body)) >= LONG_PROMPT

    async def answer(
        self, output: StructuredOutput[Any] | None = None, *, raise_on_refusal: bool = False
    ) -> ChatCompletion:
        """Return all choices as one completion; each is parsed by ``output`` if there is one."""

        def complete(choice: int, body: Mapping[str, Any]) -> Awaitable[ChatCompletion]:
            return self._calls.complete(self._call(choice, body), raise_on_refusal=raise_on_refusal)

        def ask(choice: int) -> Awaitable[ChatCompletion]:
            if output is None:
                return complete(choice, self._body)
            return output.ask(dict(self._body), partial(complete, choice))

        return await several_choices(ask, self._n, one_ahead=self._one_ahead)

    async def stream(self, output: StructuredOutput[Any] | None = None, *, resumable: bool = False) -> ChoicesStream:
        """Return the choices as one stream, once the server has accepted the request for the first.

        Raises InvalidRequestError for choices that are to be parsed by ``output``.
        """
        if output is not None:
            raise InvalidRequestError(
                f"n must be 1 in a stream parsed into a class, got {self._n}: omit stream, or open several streams"
            )
        kind = partial(ChatCompletionStream, resumable=resumable)

        async def open_choice(choice: int) -> ChatCompletionStream:
            return await self._call(choice, self._body).stream(kind)

        return ChoicesStream(await open_choice(0), open_choice, self._n, one_ahead=self._one_ahead)

    def _call(self, choice: int, body: Mapping[str, Any]) -> Call:
        timeouts = self._timeouts
        if self._until is not None:
            timeouts = msgspec.structs.replace(timeouts, total=max(0.0, self._until - self._loop.time()))
        call = self._calls.call(
            body,
            timeout=timeouts,
            headers=self._headers,
            lint=self._lint,
            deliberate=self._deliberate,
            choice=choice,
        )
        if self._query:
            call.request = call.request.with_query(self._query)
        return call
