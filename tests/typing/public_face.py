"""What type checkers must make of the public face. Never run: mypy --strict and pyright read it (scripts/check)."""

from __future__ import annotations

from typing import assert_type

from deepseek_async import (
    AsyncDeepSeek,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionStream,
    ConcurrencyLimitError,
    RateLimitError,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
)
from deepseek_async.types import CompletionUsage, Model, ModelList, UserBalance


async def plain(client: AsyncDeepSeek) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    done = await client.chat.completions.create(model="deepseek-flash", messages=messages)
    assert_type(done, ChatCompletion)
    assert_type(done.choices[0].message.content, str | None)
    assert_type(done.usage, CompletionUsage | None)
    told = await client.chat.completions.create(model="deepseek-flash", messages=messages, stream=False)
    assert_type(told, ChatCompletion)


async def streamed(client: AsyncDeepSeek) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    stream = await client.chat.completions.create(model="deepseek-flash", messages=messages, stream=True)
    assert_type(stream, ChatCompletionStream)
    async with stream:
        async for chunk in stream:
            assert_type(chunk, ChatCompletionChunk)
            assert_type(chunk.choices[0].delta.content, str | None)
    assert_type(stream.completion, ChatCompletion)
    async with client.chat.completions.stream(model="deepseek-flash", messages=messages) as other:
        assert_type(other, ChatCompletionStream)


async def either(client: AsyncDeepSeek, stream: bool) -> None:
    answer = await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user"}], stream=stream)
    assert_type(answer, ChatCompletion | ChatCompletionStream)


async def account(client: AsyncDeepSeek) -> None:
    models = await client.models.list()
    assert_type(models, ModelList)
    for model in models:
        assert_type(model, Model)
    assert_type(await client.models.retrieve("deepseek-flash"), Model)
    assert_type(await client.user.balance(), UserBalance)


async def made() -> None:
    async with AsyncDeepSeek(timeout=Timeouts(idle=5), retry=RetryPolicy(max_attempts=2)) as client:
        assert_type(client, AsyncDeepSeek)


def failed(error: ConcurrencyLimitError | StreamInterruptedError) -> None:
    if isinstance(error, RateLimitError):
        assert_type(error, ConcurrencyLimitError)
        assert_type(error.limit, int)
        assert_type(error.retry_after, float | None)
    else:
        assert_type(error.partial, ChatCompletion | None)
        assert_type(error.text, str)
