"""How tests make their clients and their calls; the fixture is in ``conftest.py``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deepseek_async import AsyncDeepSeek, ChatCompletion, ChatCompletionStream, DeepSeekError, RetryPolicy

AT_ONCE = RetryPolicy(base_delay=0, max_delay=0)
"""Retries without waiting."""

MANY = RetryPolicy(max_attempts=10, base_delay=0, max_delay=0)
"""So many that only the fault's own kind can end them."""

Connect = Callable[..., AsyncDeepSeek]
"""Makes a client for a server, or for a URL; options are the client's own."""

MESSAGES = [{"role": "user", "content": "Hi"}]


async def ask(client: AsyncDeepSeek, **parameters) -> ChatCompletion:
    """A plain call."""
    return await client.chat.completions.create(**{"model": "deepseek-flash", "messages": MESSAGES, **parameters})


async def open_stream(client: AsyncDeepSeek, **parameters) -> ChatCompletionStream:
    """A streamed call, accepted by the server."""
    asked = {"model": "deepseek-flash", "messages": MESSAGES, "stream": True, **parameters}
    return await client.chat.completions.create(**asked)


async def texts(stream: ChatCompletionStream) -> list[str]:
    """What each chunk said: its content, or a word for a chunk without any."""
    return [
        choice.delta.content or ("opening" if choice.delta.role else str(choice.finish_reason))
        async for chunk in stream
        for choice in chunk.choices
    ]


async def said_by(client: AsyncDeepSeek, *, stream: bool, **parameters) -> str:
    """What the model says, by a plain call or by a stream that is read to its end."""
    if not stream:
        done = await ask(client, **parameters)
    else:
        async with await open_stream(client, **parameters) as streaming:
            async for _ in streaming:
                pass
        done = streaming.completion
    return done.choices[0].message.content or ""


async def failure_of(client: AsyncDeepSeek, *, stream: bool, **parameters) -> DeepSeekError:
    """The error that a call ends with."""
    with pytest.raises(DeepSeekError) as caught:
        await said_by(client, stream=stream, **parameters)
    return caught.value
