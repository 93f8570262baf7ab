"""``with_raw_response``: an answer and the response that it came with, as openai-python has it."""

from __future__ import annotations

import json

import pytest
from support.clients import MESSAGES, Connect
from support.servers import (
    OPENING,
    RESET,
    STREAM_HEAD,
    Serve,
    answer,
    begun,
    head,
    response,
    streamed,
)

from deepseek_async import (
    AsyncDeepSeek,
    ChatCompletionStream,
    ContentFilter,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RawResponse,
)

ASKED = {"model": "deepseek-flash", "messages": MESSAGES}
BODY = json.dumps(answer(mood="fine")).encode()
TRACED = response(BODY, x_ds_trace_id="trace1", x_upper="7")


async def test_an_answer_comes_with_status_headers_and_text(serve: Serve, connect: Connect):
    client = connect(await serve([TRACED]))
    raw = await client.chat.completions.with_raw_response.create(**ASKED)
    assert isinstance(raw, RawResponse)
    assert raw.parse().choices[0].message.content == "Hello"
    assert (raw.status_code, raw.request_id, raw.retries_taken) == (200, "trace1", 0)
    assert (raw.headers["x-upper"], raw.headers["X-UPPER"]) == ("7", "7")
    assert raw.text().encode() == BODY


async def test_the_headers_stay_those_of_the_answer_when_the_connection_serves_again(serve: Serve, connect: Connect):
    server = await serve([TRACED], [response(BODY, x_ds_trace_id="trace2")])
    create = connect(server).chat.completions.with_raw_response.create
    first, second = await create(**ASKED), await create(**ASKED)
    assert server.connections == 1
    assert (first.request_id, second.request_id) == ("trace1", "trace2")


async def test_of_several_attempts_the_last_is_told(serve: Serve, connect: Connect):
    server = await serve([response(b"", 500, x_ds_trace_id="trace0")], [RESET], [TRACED])
    raw = await connect(server).chat.completions.with_raw_response.create(**ASKED)
    assert (raw.request_id, raw.retries_taken) == ("trace1", 2)


async def test_a_stream_is_parsed_as_it_comes(serve: Serve, connect: Connect):
    server = await serve(streamed("Hel", "lo"))
    raw = await connect(server).chat.completions.with_raw_response.create(**ASKED, stream=True)
    assert (raw.status_code, raw.request_id) == (200, "trace1")
    with pytest.raises(InvalidRequestError, match=r"parse\(\)"):
        raw.text()
    async with raw.parse() as stream:
        assert isinstance(stream, ChatCompletionStream)
        assert "".join([text async for text in stream.text_deltas()]) == "Hello"


async def test_a_stream_that_begins_again_has_the_headers_of_its_last_attempt(serve: Serve, connect: Connect):
    again = head(content_type="text/event-stream", transfer_encoding="chunked", x_ds_trace_id="trace2")
    server = await serve([begun(OPENING), RESET], [again + streamed("Hi")[0].removeprefix(STREAM_HEAD)])
    raw = await connect(server).chat.completions.with_raw_response.create(**ASKED, stream=True)
    async with raw.parse() as stream:
        async for _ in stream:
            pass
    assert (raw.request_id, raw.retries_taken) == ("trace2", 1)


async def test_an_error_is_raised_as_ever(serve: Serve, connect: Connect):
    client = connect(await serve([response(b"", 429, retry_after="200", x_ds_trace_id="trace1")]))
    with pytest.raises(RateLimitError) as caught:
        await client.chat.completions.with_raw_response.create(**ASKED)
    assert (caught.value.status_code, caught.value.request_id) == (429, "trace1")
    with pytest.raises(InvalidRequestError, match="model"):
        await client.chat.completions.with_raw_response.create(model="", messages=MESSAGES)


async def test_an_answer_from_the_cache_came_with_no_response(serve: Serve, connect: Connect):
    create = connect(await serve([TRACED]), cache=True).chat.completions.with_raw_response.create
    settled = {**ASKED, "temperature": 0, "thinking": False}
    assert (await create(**settled)).request_id == "trace1"
    again = await create(**settled)
    assert again.parse().cached == "memory"
    assert (again.status_code, dict(again.headers), again.request_id, again.retries_taken) == (200, {}, None, 0)


async def test_the_text_is_not_a_way_around_the_content_filter(serve: Serve, connect: Connect):
    client = connect(
        await serve([response(answer("write to ann@example.com"))]),
        content_filter=ContentFilter(personal="redact"),
    )
    raw = await client.chat.completions.with_raw_response.create(**ASKED)
    assert "ann@example.com" not in raw.text()


async def test_options_and_raw_responses_go_together(serve: Serve, connect: Connect):
    server = await serve([response(b"", 500)], [TRACED])
    client = connect(server).with_options(max_retries=1)
    assert (await client.chat.completions.with_raw_response.create(**ASKED)).retries_taken == 1


async def test_every_resource_has_them(client: AsyncDeepSeek):
    asked = [
        client.completions.with_raw_response.create(model="deepseek-flash", prompt="def f("),
        client.responses.with_raw_response.create(model="deepseek-flash", input="Hi"),
        client.embeddings.with_raw_response.create(model="deepseek-embedding", input="Hi"),
        client.images.with_raw_response.generate(prompt="a fox"),
        client.models.with_raw_response.list(),
        client.models.with_raw_response.retrieve("deepseek-flash"),
        client.user.with_raw_response.balance(),
        client.files.with_raw_response.list(),
        client.fine_tunes.with_raw_response.list(),
    ]
    for each in asked:
        raw = await each
        assert (raw.status_code, len(raw.request_id)) == (200, 32)
        assert json.loads(raw.text()) == raw.parse().to_dict()


async def test_a_family_elsewhere_is_asked_elsewhere(serve: Serve, connect: Connect):
    home = await serve([TRACED])
    other = await serve([response({"object": "list", "data": [{"embedding": [1.0]}]}, x_ds_trace_id="other")])
    client = connect(home, endpoints={"embeddings": other.url})
    raw = await client.embeddings.with_raw_response.create(model="m", input="Hi")
    assert raw.request_id == "other"
    assert home.requests == []


async def test_what_deepseek_does_not_have_is_explained_here_too(serve: Serve, connect: Connect):
    client = connect(await serve([response(b"", 404)]))
    with pytest.raises(NotFoundError, match="endpoints="):
        await client.embeddings.with_raw_response.create(model="m", input="Hi")


@pytest.mark.parametrize("name", ["nonsense", "_route", "__deepcopy__"])
async def test_what_is_not_there_says_so(client: AsyncDeepSeek, name: str):
    with pytest.raises(AttributeError, match=name):
        getattr(client.models.with_raw_response, name)
