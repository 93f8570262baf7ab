"""A stream's usage is asked for where it does not come by itself, and estimated by what arrived if it never comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import MESSAGES, Connect, failure_of
from support.servers import DONE, LAST_CHUNK, OPENING, USAGE, Script, Serve, begun, chunk, event, response, said

from deepseek_async import BadRequestError, Budget
from deepseek_async.call.request import Request
from deepseek_async.call.stream_usage import StreamUsage
from deepseek_async.codec.request import encode_request
from deepseek_async.configuration.endpoint import Endpoint
from deepseek_async.events import CallEnded
from deepseek_async.observe.audit import AuditLog
from deepseek_async.observe.metrics import Metrics
from deepseek_async.pricing.prices import price_table
from deepseek_async.transport.protocol import HTTPRequest
from deepseek_async.types import CompletionUsage
from deepseek_async.types.operation import CHAT

ASKING = {"include_usage": True}
TRAILING = event({**chunk(), "choices": [], "usage": USAGE})
UNASKED: Script = [begun(OPENING, said("Hello"), event(chunk({}, "stop")), DONE) + LAST_CHUNK]
ASKED: Script = [begun(OPENING, said("Hello"), event(chunk({}, "stop")), TRAILING, DONE) + LAST_CHUNK]


def refused(message: str, status: int = 400) -> Script:
    return [response({"error": {"message": message, "type": "invalid_request_error"}}, status)]


async def streamed(client: Any, **parameters: Any) -> Any:
    parameters = {"model": "deepseek-flash", "messages": MESSAGES, **parameters}
    async with await client.chat.completions.create(stream=True, **parameters) as stream:
        chunks = [each async for each in stream]
    return stream.completion, chunks


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        ("https://api.deepseek.com", False),
        ("https://deepseek.com:443", False),
        ("https://api.deepseek.com.example.org", True),
        ("https://notdeepseek.com", True),
        ("http://127.0.0.1:4000", True),
    ],
)
def test_deepseeks_own_servers_tell_it_unasked(origin: str, wanted: bool):
    assert StreamUsage.of(origin).wanted == wanted


async def test_another_server_is_asked_and_what_it_says_counts(serve: Serve, connect: Connect):
    server = await serve(ASKED)
    completion, _ = await streamed(connect(server))

    assert server.requests[0].json()["stream_options"] == ASKING
    assert completion.usage.completion_tokens == USAGE["completion_tokens"]
    assert not completion.usage.estimated


async def test_who_says_himself_what_he_wants_is_sent_as_he_says(serve: Serve, connect: Connect):
    server = await serve(UNASKED, ASKED)
    client = connect(server)
    await streamed(client, stream_options={"include_usage": False})
    _, chunks = await streamed(client, extra_body={"stream_options": ASKING})

    assert [each.json()["stream_options"] for each in server.requests] == [{"include_usage": False}, ASKING]
    assert chunks[-1].choices == [], "he knows what he has asked for"


async def test_a_chunk_that_came_because_we_asked_can_be_read_like_any_other(serve: Serve, connect: Connect):
    _, chunks = await streamed(connect(await serve(ASKED)))

    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "Hello"
    assert chunks[-1].usage.completion_tokens == USAGE["completion_tokens"]


async def test_plain_answers_and_responses_are_not_asked(serve: Serve, connect: Connect):
    server = await serve([response({"id": "1"}, 400)])
    client = connect(server)
    await failure_of(client, stream=False)
    with pytest.raises(BadRequestError):
        await client.responses.create(model="deepseek-flash", input="Hi", stream=True)

    assert all("stream_options" not in each.json() for each in server.requests)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Unrecognized request argument supplied: stream_options", 400),
        ("[{'loc': ['body', 'stream_options'], 'msg': 'Extra inputs are not permitted'}]", 422),
        ("create() got an unexpected keyword argument 'stream_options'", 500),
        ("Bad Request", 400),
    ],
)
async def test_a_server_that_refuses_the_field_is_asked_without_it_then_and_later(
    serve: Serve, connect: Connect, message: str, status: int
):
    server = await serve(refused(message, status), UNASKED, UNASKED)
    client = connect(server, retry=1)
    for _ in range(2):
        completion, _ = await streamed(client)
        assert completion.choices[0].message.content == "Hello"

    assert ["stream_options" in each.json() for each in server.requests] == [True, False, False]
    first, second = (dict(each.json()) for each in server.requests[:2])
    assert first.pop("stream_options") == ASKING
    assert first == second


async def test_a_request_that_is_wrong_in_itself_says_nothing_of_the_field(serve: Serve, connect: Connect):
    server = await serve(refused("no"), refused("no"), ASKED, refused("no"))
    client = connect(server)
    assert isinstance(await failure_of(client, stream=True), BadRequestError)
    await streamed(client)
    assert isinstance(await failure_of(client, stream=True), BadRequestError)

    assert ["stream_options" in each.json() for each in server.requests] == [True, False, True, True]


async def test_a_fallback_is_asked_whatever_the_first_server_takes(serve: Serve, connect: Connect):
    first = await serve(refused("stream_options?"), [response(b"", 503)])
    second = await serve(ASKED)
    client = connect(first, retry=1, fallback=Endpoint(second.url, model="other"))
    completion, _ = await streamed(client)

    assert completion.usage is not None
    assert ["stream_options" in each.json() for each in (*first.requests, *second.requests)] == [True, False, True]
    assert second.requests[0].json()["model"] == "other"


async def test_a_text_completion_is_asked_and_its_chunks_have_choices(serve: Serve, connect: Connect):
    text = {"id": "1", "object": "text_completion", "created": 1, "model": "m"}
    pieces = [
        {**text, "choices": [{"index": 0, "text": "Hello", "finish_reason": None}]},
        {**text, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]},
        {**text, "choices": [], "usage": USAGE},
    ]
    server = await serve([begun(*map(event, pieces), DONE) + LAST_CHUNK])
    client = connect(server)
    async with await client.completions.create(model="m", prompt="Say", stream=True) as stream:
        read = [each.choices[0].text async for each in stream]

    assert read == ["Hello", "", ""]
    assert server.requests[0].json()["stream_options"] == ASKING
    assert stream.completion.usage is not None


async def test_a_whole_stream_without_usage_costs_what_arrived_and_says_that_it_is_an_estimate(
    serve: Serve, connect: Connect, tmp_path: Path
):
    budget, metrics, events = Budget(5.0, path=":memory:"), Metrics(), list[Any]()
    audit = AuditLog(tmp_path, days=3)
    client = connect(await serve(UNASKED), budget=budget, listeners=[metrics, audit, events.append])
    completion, _ = await streamed(client)
    await client.aclose()

    assert completion.usage.estimated
    assert "no usage" in completion.usage.corrected
    cost = price_table().cost(completion.usage, "deepseek-flash", events[-1].started)
    assert cost is not None
    assert 5.0 - budget.remaining == pytest.approx(cost, abs=2e-9)
    assert cost < 0.0002, "and not what the longest answer costs"
    (line,) = written_in(tmp_path)
    assert line["usage"]["estimated"] == completion.usage.corrected
    assert b'usage_estimated_total{model="deepseek-flash"} 1.0' in metrics.exposition()
    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    assert ended.usage == completion.usage


def written_in(folder: Path) -> list[Any]:
    return [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.mark.parametrize("stream", [False, True])
async def test_counters_under_the_names_of_responses_are_read(serve: Serve, connect: Connect, stream: bool):
    usage = {
        "input_tokens": 100,
        "output_tokens": 7,
        "input_tokens_details": {"cached_tokens": 80},
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    plain = response({"id": "1", "created": 1, "model": "deepseek-flash", "choices": [choice], "usage": usage})
    ends = event({**chunk({}, "stop"), "usage": usage})
    server = await serve([begun(OPENING, said("Hello"), ends, DONE) + LAST_CHUNK] if stream else [plain])
    budget = Budget(5.0, path=":memory:")
    client = connect(server, budget=budget)
    if stream:
        completion, _ = await streamed(client)
    else:
        completion = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)

    read: CompletionUsage = completion.usage
    assert (read.prompt_tokens, read.cached_tokens, read.completion_tokens, read.reasoning_tokens) == (100, 80, 7, 3)
    assert not read.estimated
    cost = price_table().cost(read, "deepseek-flash", budget._clock())
    assert 5.0 - budget.remaining == pytest.approx(cost)
    await budget.aclose()


texts = st.text(max_size=40)


@given(st.dictionaries(st.sampled_from(["stop", "metadata", "stream_options_"]), texts), texts)
def test_a_body_that_asks_is_json_and_asks_no_more_when_it_is_to_ask_no_more(body: dict[str, str], said: str):
    body = {"messages": [{"content": said}], **body}  # type: ignore[dict-item]
    request = Request(CHAT, HTTPRequest("POST", "/chat/completions", encode_request(body, 1 << 20)), body)
    asking = request.asking_usage()

    assert json.loads(asking.wire) == {**body, "stream_options": ASKING}
    assert asking.asking_usage().wire == asking.wire
    assert asking.not_asking_usage().wire == request.wire
    assert (request.asks_usage, asking.asks_usage) == (False, True)
