"""A stream's text, reasoning and tool calls told apart."""

from __future__ import annotations

from support.clients import Connect
from support.servers import DONE, LAST_CHUNK, OPENING, Serve, begun, chunk, ending, event, said

from deepseek_async.call.stream.deltas import AnswerEnd, ReasoningDelta, TextDelta, ToolArgumentsDelta

ASKED = [{"role": "user", "content": "question"}]


def thought(text: str) -> bytes:
    return event(chunk({"reasoning_content": text}))


def called(index: int, arguments: str, **opening: str) -> bytes:
    function = {"arguments": arguments, **({"name": opening["name"]} if opening else {})}
    call = {"index": index, "function": function, **({"id": opening["id"], "type": "function"} if opening else {})}
    return event(chunk({"tool_calls": [call]}))


EVENTS = (
    OPENING
    + thought("Let ")
    + thought("me")
    + said("Hel")
    + said("lo")
    + called(0, "", id="call_00", name="f")
    + called(0, '{"a"')
    + called(0, ": 1}")
    + ending("tool_calls")
    + DONE
)
SCRIPT = [begun(EVENTS) + LAST_CHUNK]


async def test_text_alone(serve: Serve, connect: Connect):
    client = connect(await serve(SCRIPT))
    async with client.chat.completions.stream(model="deepseek-flash", messages=ASKED) as stream:
        assert [text async for text in stream.text_deltas()] == ["Hel", "lo"]
    assert stream.completion.choices[0].message.reasoning_content == "Let me"


async def test_reasoning_alone(serve: Serve, connect: Connect):
    client = connect(await serve(SCRIPT))
    async with client.chat.completions.stream(model="deepseek-flash", messages=ASKED) as stream:
        assert [text async for text in stream.reasoning_deltas()] == ["Let ", "me"]


async def test_each_kind_is_an_event_of_its_own(serve: Serve, connect: Connect):
    client = connect(await serve(SCRIPT))
    async with client.chat.completions.stream(model="deepseek-flash", messages=ASKED) as stream:
        events = [event async for event in stream.events()]
    assert events == [
        ReasoningDelta("Let "),
        ReasoningDelta("me"),
        TextDelta("Hel"),
        TextDelta("lo"),
        ToolArgumentsDelta(0, "call_00", "f", ""),
        ToolArgumentsDelta(0, None, None, '{"a"'),
        ToolArgumentsDelta(0, None, None, ": 1}"),
        AnswerEnd("tool_calls", stream.completion.usage),
    ]


async def test_leaving_the_text_early_gives_the_connection_back(serve: Serve, connect: Connect):
    client = connect(await serve([begun(OPENING + said("a") + said("b"))]))
    async with client.chat.completions.stream(model="deepseek-flash", messages=ASKED) as stream:
        async for text in stream.text_deltas():
            assert text == "a"
            break
    assert client._context.caller().account_limiter.in_flight == 0
