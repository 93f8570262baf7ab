"""What type checkers must make of the public face. Never run: mypy --strict and pyright read it (scripts/check)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, assert_never, assert_type

import msgspec
from pydantic import BaseModel

from deepseek_async import (
    AnswerEnd,
    AnswerWithdrawn,
    AsyncDeepSeek,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionStream,
    ConcurrencyLimitError,
    FunctionTool,
    Message,
    MessageStream,
    ParsedChatCompletion,
    ParsedChatCompletionStream,
    RateLimitError,
    RawResponse,
    Reading,
    ReasoningDelta,
    RetryPolicy,
    Reviewing,
    Searching,
    StreamInterruptedError,
    StructuredOutput,
    TextDelta,
    Timeouts,
    TitleGiven,
    ToolArgumentsDelta,
    ToolRun,
    UnknownDelta,
)
from deepseek_async.testing import answering, recording
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
        assert_type(other.chunks, ChatCompletionStream)
        async for event in other:
            if event.type == "content.delta":
                assert_type(event.delta, str)
                assert_type(event.snapshot, str)
            elif event.type == "chunk":
                assert_type(event.chunk, ChatCompletionChunk)
        assert_type(await other.get_final_completion(), ParsedChatCompletion[Any])


async def either(client: AsyncDeepSeek, stream: bool) -> None:
    answer = await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user"}], stream=stream)
    assert_type(answer, ChatCompletion | ChatCompletionStream)


class Invoice(msgspec.Struct):
    total: float


@dataclass
class Receipt:
    total: float


class Order(TypedDict):
    total: float


class Bill(BaseModel):
    total: float


async def parsed(client: AsyncDeepSeek) -> None:
    create = client.chat.completions.create
    messages = [{"role": "user", "content": "Hi"}]
    invoice = await create(model="deepseek-flash", messages=messages, response_format=Invoice)
    assert_type(invoice, ParsedChatCompletion[Invoice])
    assert_type(invoice.choices[0].message.parsed, Invoice | None)
    receipt = await create(model="deepseek-flash", messages=messages, response_format=Receipt)
    assert_type(receipt.parsed, Receipt | None)
    order = await create(model="deepseek-flash", messages=messages, response_format=Order)
    assert_type(order.parsed, Order | None)
    bill = await create(
        model="deepseek-flash",
        messages=messages,
        response_format=StructuredOutput(Bill, method="strict_tool"),
    )
    assert_type(bill.parsed, Bill | None)
    growing = await create(model="deepseek-flash", messages=messages, response_format=Bill, stream=True)
    assert_type(growing, ParsedChatCompletionStream[Bill])
    async for partial in growing.partials():
        assert_type(partial, Bill)
    assert_type(growing.parsed, Bill | None)
    async with client.chat.completions.stream(model="x", messages=messages, response_format=Invoice) as other:
        assert_type(other.parsed, Invoice | None)
        async for some in other.partials():
            assert_type(some, Invoice)
    untyped = await create(model="deepseek-flash", messages=messages, response_format={"type": "json_object"})
    assert_type(untyped, ChatCompletion)


async def weather(place: str) -> str:
    return place


async def tools(client: AsyncDeepSeek) -> None:
    ran = await client.chat.completions.run_tools(
        model="deepseek-flash",
        messages=[{"role": "user", "content": "Hi"}],
        tools=[weather, FunctionTool(weather, name="other")],
    )
    assert_type(ran, ToolRun)
    assert_type(ran.content, str)
    assert_type(ran.completion, ChatCompletion)


async def thinking(client: AsyncDeepSeek) -> None:
    for switch in (True, False):
        await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user"}], thinking=switch)
    await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user"}], thinking="disabled")
    await client.chat.completions.create(
        model="deepseek-flash",
        messages=[{"role": "user"}],
        thinking={"type": "enabled"},
        lint="error",
    )


async def told_apart(client: AsyncDeepSeek) -> None:
    async with client.chat.completions.stream(model="deepseek-flash", messages=[{"role": "user"}]) as stream:
        async for text in stream.text_deltas():
            assert_type(text, str)
    async with client.chat.completions.stream(model="deepseek-flash", messages=[{"role": "user"}]) as stream:
        async for event in stream.events():
            match event:
                case TextDelta(text) | ReasoningDelta(text):
                    assert_type(text, str)
                case ToolArgumentsDelta():
                    assert_type(event.index, int)
                case AnswerEnd():
                    assert_type(event.finish_reason, str)
                case Searching():
                    assert_type(event.queries, tuple[str, ...])
                case Reading():
                    assert_type(event.url, str | None)
                case TitleGiven(title):
                    assert_type(title, str)
                case Reviewing() | AnswerWithdrawn() | UnknownDelta():
                    pass
                case _:
                    assert_never(event)


async def messages(client: AsyncDeepSeek) -> None:
    turns: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
    done = await client.messages.create(model="deepseek-flash", messages=turns)
    assert_type(done, Message)
    turns.append({"role": "assistant", "content": done.content})
    assert_type(await client.messages.create(model="deepseek-flash", messages=turns, stream=True), MessageStream)
    async with client.messages.stream(model="deepseek-flash", messages=turns) as stream:
        async for text in stream.text_stream:
            assert_type(text, str)
        assert_type(await stream.get_final_message(), Message)


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
        assert_type(error.partial, ChatCompletion | Message | None)
        assert_type(error.text, str)


async def options_and_raw_responses(client: AsyncDeepSeek) -> None:
    other = client.with_options(timeout=20, max_retries=0, lint="off")
    assert_type(other, AsyncDeepSeek)
    create = other.chat.completions.with_raw_response.create
    raw = await create(model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}])
    assert_type(raw, RawResponse[ChatCompletion])
    assert_type(raw.parse(), ChatCompletion)
    assert_type(raw.status_code, int)
    assert_type(raw.request_id, str | None)
    assert_type(raw.text(), str)
    streamed = await create(model="deepseek-flash", messages=[], stream=True)
    assert_type(streamed.parse(), ChatCompletionStream)
    formed = await create(model="m", messages=[], response_format=Invoice)
    assert_type(formed.parse(), ParsedChatCompletion[Invoice])
    other_raw = await client.chat.completions.with_raw_response.parse(model="m", messages=[], response_format=Bill)
    assert_type(other_raw.parse().parsed, Bill | None)
    assert_type((await client.models.with_raw_response.list()).parse(), ModelList)
    assert_type((await client.models.with_raw_response.retrieve("m")).parse(), Model)
    async with client.chat.completions.with_streaming_response.create(model="m", messages=[]) as response:
        assert_type(await response.parse(), ChatCompletion)
        async for line in response.iter_lines():
            assert_type(line, str)


async def named_as_elsewhere(client: AsyncDeepSeek) -> None:
    done = await client.chat.completions.parse(model="m", messages=[{"role": "user"}], response_format=Bill)
    assert_type(done.choices[0].message.parsed, Bill | None)
    async with client.beta.chat.completions.stream(model="m", messages=[], response_format=Bill) as stream:
        assert_type((await stream.get_final_completion()).parsed, Bill | None)
        async for event in stream:
            if event.type == "content.done":
                assert_type(event.parsed, Bill | None)
    async for model in client.models.list():
        assert_type(model, Model)
    assert_type(client.base_url, str)
    assert_type(done.model_dump(), dict[str, Any])


def built(receipt: Receipt) -> None:
    assert_type(ChatCompletion.build("Hi", usage={"prompt_tokens": 3}, tool_calls=["look_up"]), ChatCompletion)
    assert_type(ChatCompletionChunk.build_stream("Hi"), list[ChatCompletionChunk])
    assert_type(ParsedChatCompletion.build(parsed=receipt).parsed, Receipt | None)
    AsyncDeepSeek(transport=answering("Hi", ChatCompletion.build("Ho")))
    AsyncDeepSeek(transport=recording("tape.jsonl", mode="new", scrub=["user_id"]))


def options() -> None:
    AsyncDeepSeek(
        api_key="sk-test", max_concurrency="auto", timeout=9, lint="fix", endpoints={"embeddings": "https://…"}
    )
    AsyncDeepSeek(max_concurency=9)  # type: ignore[call-arg]
    AsyncDeepSeek(lint="fatal")  # type: ignore[arg-type]
    AsyncDeepSeek.from_settings("deepseek.yaml", budget=5)
