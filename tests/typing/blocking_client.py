"""What type checkers must make of the blocking client. Never run: mypy --strict and pyright read it (scripts/check)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from deepseek_async import ChatCompletion, Completion, ParsedChatCompletion, Response
from deepseek_async.blocking import BlockingResponseStream, ChatStream, DeepSeek, ParsedChatStream, TextStream
from deepseek_async.types import ChatCompletionChunk, FileList, FileObject, ModelList, UserBalance

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]


@dataclass
class City:
    name: str


def answers(client: DeepSeek) -> None:
    create = client.chat.completions.create
    assert_type(create(model="deepseek-flash", messages=MESSAGES, temperature=0), ChatCompletion)
    assert_type(create(model="deepseek-flash", messages=MESSAGES, response_format=City), ParsedChatCompletion[City])
    with create(model="deepseek-flash", messages=MESSAGES, stream=True) as stream:
        assert_type(stream, ChatStream)
        for chunk in stream:
            assert_type(chunk, ChatCompletionChunk)
    assert_type(stream.completion, ChatCompletion)
    with create(model="deepseek-flash", messages=MESSAGES, response_format=City, stream=True) as parsed:
        assert_type(parsed, ParsedChatStream[City])
        for city in parsed.partials():
            assert_type(city, City)
    assert_type(parsed.parsed, City | None)
    assert_type(client.completions.create(model="m", prompt="x"), Completion)
    assert_type(client.completions.create(model="m", prompt="x", stream=True), TextStream)
    assert_type(client.responses.create(model="m", input="x"), Response)
    assert_type(client.responses.create(model="m", input="x", stream=True), BlockingResponseStream)


def others(client: DeepSeek) -> None:
    assert_type(client.models.list(timeout=9), ModelList)
    assert_type(client.user.balance(), UserBalance)
    assert_type(client.files.create(file=b"", purpose="user_data"), FileObject)
    assert_type(client.files.list(limit=9), FileList)


def options() -> None:
    DeepSeek(api_key="sk-test", max_concurrency="auto", timeout=9, cache=True).close()
    DeepSeek(max_concurency=9)  # type: ignore[call-arg]
    DeepSeek(tool_threads="9")  # type: ignore[arg-type]
