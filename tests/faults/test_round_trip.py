"""What nobody knows goes out, comes in, is kept and goes out again: over the wire, the cache, the journal, tools.

``--rounds 10000`` for as many examples as one likes.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clients import AT_ONCE
from support.servers import CANARY
from support.thoroughness import often
from support.unknown_json import BLOCKS, FIELDS, NAMES

from deepseek_async import AsyncDeepSeek, Cache

EXAMPLES = often(60)
"""Of each test, without ``--rounds``."""

users = count()

Example = Callable[["Service", AsyncDeepSeek, st.DataObject], Any]


class Service:
    """A server that answers each request with what it was told last, and remembers what it was asked."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {}
        self.first: dict[str, Any] | None = None
        """What the next request is answered with, before ``body``."""
        self.events: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                asked = json.loads(await reader.readexactly(length))
                self.asked.append(asked)
                said, self.first = self.first or self.body, None
                kind, wire = b"application/json", json.dumps(said).encode()
                if asked.get("stream"):
                    kind = b"text/event-stream"
                    wire = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in self.events)
                    wire += b"data: [DONE]\n\n"
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(wire), wire)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Service, AsyncDeepSeek]]:
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    async with AsyncDeepSeek(
        api_key=CANARY, base_url=f"http://{host}:{port}", retry=AT_ONCE, breaker=False, **options
    ) as client:
        yield service, client
    server.close()
    await server.wait_closed()


def many(request: pytest.FixtureRequest, example: Example, **options: Any) -> None:
    """Run ``example`` as often as is asked for, on one loop with one server."""
    rounds = request.config.getoption("--rounds") or EXAMPLES
    with asyncio.Runner() as runner:
        around = running(**options)
        service, client = runner.run(around.__aenter__())

        @settings(max_examples=rounds, deadline=None)
        @given(st.data())
        def once(data: st.DataObject) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                runner.run(example(service, client, data))

        try:
            once()
        finally:
            runner.run(around.__aexit__(None, None, None))


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def message(data: st.DataObject) -> dict[str, Any]:
    """A message of chat with text, and around it what nobody knows."""
    content: Any = "Hello"
    if data.draw(st.booleans()):
        blocks = data.draw(st.lists(BLOCKS, min_size=1, max_size=3))
        content = [*blocks, {"type": "text", "text": "Hello", **data.draw(FIELDS)}]
    return {"role": "assistant", "content": content, **data.draw(FIELDS)}


def completion(said: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    choice = {"index": 0, "message": said, "finish_reason": "stop", **data.draw(FIELDS)}
    usage = {**USAGE, **data.draw(st.dictionaries(NAMES, st.integers(0, 99), max_size=2))}
    return {
        "id": "1",
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": usage,
        **data.draw(FIELDS),
    }


def chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The same answer as chunks, each field of its message in a delta of its own."""
    choice = body["choices"][0]
    told = {name: value for name, value in choice.items() if name not in ("index", "message", "finish_reason")}
    head = {name: value for name, value in body.items() if name not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"

    def one(delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **fields}]}

    deltas = [{name: value} for name, value in choice["message"].items() if name != "role"]
    return [
        one({"role": "assistant", "content": ""}),
        *map(one, deltas),
        {**one({"content": ""}, **{**told, "finish_reason": "stop"}), "usage": body["usage"]},
    ]


def further(data: st.DataObject) -> dict[str, Any]:
    """A request in words that nobody knows."""
    word = data.draw(NAMES)
    return {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "Hi", **data.draw(FIELDS)}, {"role": word, **data.draw(FIELDS)}],
        "tools": [{"type": word, **data.draw(FIELDS)}],
        "extra_body": data.draw(FIELDS),
    }


async def chat(service: Service, client: AsyncDeepSeek, data: st.DataObject) -> None:
    said = message(data)
    service.body = completion(said, data)
    service.events = chunks(service.body)
    asked = further(data)
    streaming = data.draw(st.booleans())
    if streaming:
        async with client.chat.completions.stream(**asked) as stream:
            came = [chunk async for chunk in stream.chunks]
        done = stream.completion
        assert [chunk.to_dict() for chunk in came] == service.events
    else:
        done = await client.chat.completions.create(**asked)
    sent = service.asked[-1]
    assert sent["messages"] == asked["messages"]
    assert sent["tools"] == asked["tools"]
    assert {name: sent[name] for name in asked["extra_body"]} == asked["extra_body"]
    told = done.to_dict()
    for name in service.body.keys() - {"object", "choices", "usage"}:
        assert told[name] == service.body[name]
    assert {name: told["usage"][name] for name in service.body["usage"]} == service.body["usage"]
    choice = service.body["choices"][0]
    assert {name: told["choices"][0][name] for name in choice if name != "message"} == {
        name: value for name, value in choice.items() if name != "message"
    }
    kept = done.choices[0].message
    assert kept.content == "Hello"
    await client.chat.completions.create(**{**asked, "messages": [*asked["messages"], kept]})
    assert service.asked[-1]["messages"][-1] == said


def test_a_chat_goes_out_comes_in_and_goes_back(request: pytest.FixtureRequest):
    many(request, chat)


async def response(service: Service, client: AsyncDeepSeek, data: st.DataObject) -> None:
    part = {"type": "output_text", "text": "Hello", **data.draw(FIELDS)}
    spoken = {"type": "message", "id": "m1", "role": "assistant", "content": [part], **data.draw(FIELDS)}
    output = [*data.draw(st.lists(BLOCKS, max_size=3)), spoken]
    usage = {
        "input_tokens": 5,
        "output_tokens": 3,
        "total_tokens": 8,
        **data.draw(st.dictionaries(NAMES, st.integers(0, 9))),
    }
    service.body = {
        "id": "r1",
        "status": "completed",
        "model": "m",
        "output": output,
        "usage": usage,
        **data.draw(FIELDS),
    }
    strange = [
        {"type": f"response.{data.draw(NAMES)}", **data.draw(FIELDS)} for _ in range(data.draw(st.integers(0, 2)))
    ]
    service.events = [
        {"type": "response.created", "response": {**service.body, "status": "in_progress", "output": []}},
        *({"type": "response.output_item.added", "output_index": at, "item": item} for at, item in enumerate(output)),
        *strange,
        {"type": "response.output_text.delta", "output_index": len(output) - 1, "delta": "Hello", **data.draw(FIELDS)},
        {"type": "response.completed", "response": service.body},
    ]
    asked: dict[str, Any] = {
        "model": "deepseek-flash",
        "input": [{"role": "user", "content": "Hi", **data.draw(FIELDS)}, *data.draw(st.lists(BLOCKS, max_size=2))],
        "tools": [{"type": data.draw(NAMES), **data.draw(FIELDS)}],
        "extra_body": data.draw(FIELDS),
    }
    if data.draw(st.booleans()):
        async with client.responses.stream(**asked) as stream:
            came = [event async for event in stream]
        done = stream.response
        assert [event.to_dict() for event in came] == service.events
    else:
        done = await client.responses.create(**asked)
    sent = service.asked[-1]
    assert (sent["input"], sent["tools"]) == (asked["input"], asked["tools"])
    assert {name: sent[name] for name in asked["extra_body"]} == asked["extra_body"]
    assert done.to_dict() == service.body
    assert done.output_text == "Hello"
    await client.responses.create(**{**asked, "input": [*asked["input"], *done.output]})
    assert service.asked[-1]["input"] == [*asked["input"], *output]


def test_a_response_goes_out_comes_in_and_goes_back(request: pytest.FixtureRequest):
    many(request, response)


async def cached(service: Service, client: AsyncDeepSeek, data: st.DataObject) -> None:
    said = message(data)
    service.body = completion(said, data)
    service.events = chunks(service.body)
    # No other example has asked the same.
    asked = {**further(data), "temperature": 0, "thinking": False, "user_id": f"user-{next(users)}"}
    first_streams, then_streams = data.draw(st.tuples(st.booleans(), st.booleans()))
    answers = []
    for streams in (first_streams, then_streams):
        if streams:
            async with client.chat.completions.stream(**asked) as stream:
                async for _ in stream:
                    pass
            answers.append(stream.completion)
        else:
            answers.append(await client.chat.completions.create(**asked))
    assert answers[1].cached is not None or first_streams != then_streams
    for answer in answers:
        assert answer.choices[0].message.content == "Hello"
        assert answer.choices[0].message.to_request() == said
        told = answer.to_dict()
        assert {name: told["usage"][name] for name in service.body["usage"]} == service.body["usage"]


def test_a_cached_answer_is_the_one_that_came(request: pytest.FixtureRequest):
    many(request, cached, cache=Cache())


def write(path: Path, line: dict[str, Any]) -> None:
    path.write_text(json.dumps(line) + "\n")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().removesuffix("\n").split("\n")]


def test_a_row_of_a_job_keeps_all_of_its_answer(request: pytest.FixtureRequest, tmp_path: Path):
    async def row(service: Service, client: AsyncDeepSeek, data: st.DataObject) -> None:
        service.body = completion(message(data), data)
        asked = further(data)
        body = {**{name: asked[name] for name in ("model", "messages", "tools")}, **asked["extra_body"]}
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            source, output = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
            write(source, {"custom_id": "a", "body": body})
            for _ in range(2):  # the second run finds the row answered
                service.asked.clear()
                report = await client.batch.run(source, output)
                assert report.failed == 0
                assert [line["response"]["body"] for line in lines_of(output)] == [service.body]
            assert service.asked == []

    many(request, row)


def test_a_run_of_tools_sends_everything_back(request: pytest.FixtureRequest):
    def add(a: int) -> int:
        return a

    async def run(service: Service, client: AsyncDeepSeek, data: st.DataObject) -> None:
        call = {
            "id": "c1",
            "type": "function",
            "function": {"name": "add", "arguments": '{"a": 1}', **data.draw(FIELDS)},
        }
        said = {**message(data), "tool_calls": [{**call, **data.draw(FIELDS)}, {"id": "s1", **data.draw(BLOCKS)}]}
        calling = completion(said, data)
        calling["choices"][0]["finish_reason"] = "tool_calls"
        service.first, service.body = calling, completion(message(data), data)
        service.asked.clear()
        tools: list[Any] = [add, data.draw(BLOCKS)]
        done = await client.chat.completions.run_tools(
            model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}], tools=tools, thinking=False
        )
        assert done.turns == 2
        back = service.asked[1]["messages"][1]
        assert {name: back[name] for name in said if name != "tool_calls"} == {
            name: value for name, value in said.items() if name != "tool_calls"
        }
        for sent, came in zip(back["tool_calls"], said["tool_calls"], strict=True):
            assert {name: sent[name] for name in came} == came
        assert service.asked[1]["tools"][1] == tools[1]

    many(request, run)
