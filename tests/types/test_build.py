"""Answers that a test builds are what a server's would be."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import (
    AsyncDeepSeek,
    ChatCompletion,
    ChatCompletionChunk,
    ConfigurationError,
    Message,
    ParsedChatCompletion,
    RateLimitError,
    Response,
)
from deepseek_async.testing import answering


@dataclass
class City:
    name: str


def test_a_text_is_enough():
    answer = ChatCompletion.build("It is on its way.")

    assert answer.choices[0].message.content == "It is on its way."
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "deepseek-flash")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (1, 5, 6)
    assert answer.is_whole()


@pytest.mark.parametrize("kind", [ChatCompletion, Response, Message])
def test_what_is_said_of_an_answer_is_in_every_kind(kind: type[ChatCompletion | Response | Message]):
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_cache_hit_tokens": 8}
    answer = kind.build("text", reasoning="thought", tool_calls=["look_up"], usage=usage, id="a", model="m")

    used = answer.tokens_used()
    assert used is not None
    assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (12, 3, 15)
    assert (used.prompt_cache_hit_tokens, used.prompt_cache_miss_tokens) == (8, 4)
    assert (answer.id, answer.model) == ("a", "m")
    text = answer.to_json()
    assert all(word in text for word in ("text", "thought", "look_up", "call_0"))


@pytest.mark.parametrize("kind", [Response, Message])
@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_a_finish_reason_is_said_in_chats_words(kind: type[Response | Message], reason: str):
    assert kind.build("half", finish_reason=reason).finish_reason == reason
    assert kind.build(tool_calls=["look_up"]).finish_reason == "tool_calls"


def test_tool_calls_have_names_arguments_and_ids():
    calls = ["one", {"name": "two", "arguments": {"city": "Zürich"}}, {"name": "three", "arguments": "{", "id": "x"}]
    message = ChatCompletion.build(tool_calls=calls).choices[0].message
    made = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    assert made == [("call_0", "one", "{}"), ("call_1", "two", '{"city": "Zürich"}'), ("x", "three", "{")]
    with pytest.raises(ValueError, match="a tool call must be a name or a mapping with a name"):
        ChatCompletion.build(tool_calls=[{"arguments": {}}])
    with pytest.raises(ValueError, match=r"^tool_calls must be a list, got 'look': write \['look'\]$"):
        ChatCompletion.build(tool_calls="look")
    with pytest.raises(msgspec.ValidationError, match="content"):
        ChatCompletion.build(7)  # type: ignore[arg-type]


def test_an_object_is_parsed_and_written():
    answer = ParsedChatCompletion.build(parsed=City("Oslo"))
    assert answer.parsed == answer.choices[0].message.parsed == City("Oslo")
    assert json.loads(answer.choices[0].message.content or "") == {"name": "Oslo"}


@given(st.none() | st.text(), st.none() | st.text())
def test_the_chunks_of_a_stream_say_what_the_whole_answer_says(content: str | None, reasoning: str | None):
    chunks = ChatCompletionChunk.build_stream(content, reasoning=reasoning, tool_calls=["look_up"])
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == (content or "")
    assert "".join(delta.reasoning_content or "" for delta in deltas) == (reasoning or "")
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_gives_built_answers_to_the_code_under_test(stream: bool, caplog: pytest.LogCaptureFixture):
    told = ChatCompletion.build("On its\nway.", reasoning="So", tool_calls=["look_up"], usage={"prompt_tokens": 9})
    transport = answering(RateLimitError("slow down", status_code=429, retryable=True, retry_after=0), told)
    asked = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Where?"}], "stream": stream}
    async with AsyncDeepSeek(api_key="sk-test", base_url="http://127.0.0.1:9", transport=transport) as client:
        answer = await client.chat.completions.create(**asked)
        if stream:
            async with answer:
                async for _ in answer:
                    pass
            answer = answer.completion
        assert answer.choices[0].message.to_request() == told.choices[0].message.to_request()
        assert answer.usage.prompt_tokens == 9
        assert answer.usage.corrected is None
        assert "implausible" not in caplog.text
        assert transport.requests[1]["messages"] == asked["messages"]
        with pytest.raises(ConfigurationError, match="has 2 answers, got request 3"):
            await client.chat.completions.create(**asked)
        with pytest.raises(ConfigurationError, match="got GET /models"):
            await client.models.list()


def test_an_answer_of_another_type_is_refused():
    with pytest.raises(ConfigurationError, match="must be a text, a ChatCompletion or a DeepSeekError, got dict"):
        answering({})  # type: ignore[arg-type]
