"""Whatever bytes come back as a response: an answer or an error of ours, soon, and nothing left behind.

``--examples N`` looks at N responses in the place of a few hundred.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clients import said_by
from support.disclosure import SECRET, everything_shown_by
from support.servers import (
    ANSWER,
    CANARY,
    CLOSE,
    DONE,
    LAST_CHUNK,
    OPENING,
    RESET,
    STREAM_HEAD,
    Script,
    ScriptedServer,
    answer,
    begun,
    ending,
    event,
    head,
    http_chunk,
    response,
    said,
)
from support.thoroughness import often

from deepseek_async import (
    AsyncDeepSeek,
    AuthenticationError,
    DeepSeekError,
    InsufficientBalanceError,
    PermissionDeniedError,
    Timeouts,
)

BODY = json.dumps(answer()).encode()
EVENTS = OPENING + said("Hel") + said("lo") + ending() + DONE

UNBOUNDED = head(connection="close") + BODY
PACKED = response(gzip.compress(BODY), content_encoding="gzip")

VALID = [
    ANSWER,
    begun(EVENTS) + LAST_CHUNK,
    STREAM_HEAD + b"".join(map(http_chunk, (OPENING, b": keep-alive\n\n", said("Hello"), ending(), DONE))) + LAST_CHUNK,
    head(content_length=str(len(EVENTS))) + EVENTS,
    head(connection="close") + EVENTS,
    UNBOUNDED,
    PACKED,
    head(content_encoding="gzip", transfer_encoding="chunked") + http_chunk(gzip.compress(EVENTS)) + LAST_CHUNK,
    response(gzip.compress(BODY)[2:-4], content_encoding="deflate"),
    STREAM_HEAD + http_chunk(EVENTS) + b"0\r\nx-trailer: 1\r\n\r\n",
    head(103, "Early Hints") + ANSWER,
    head(204, "No Content"),
    response(b"", 307, location="https://elsewhere.invalid/"),
    response({"error": {"message": "Your current concurrency is 26, which exceeds your concurrency limit of 25"}}, 429),
    response({"error": {"message": "busy"}}, 503, retry_after="0"),
    response(b"<html><title>502</title></html>", 502, content_type="text/html"),
    begun(OPENING, said("Hel"), event({"error": {"message": "engine died"}})) + LAST_CHUNK,
]

WORDS = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b"\xff", b":", b";", b" "),
    *(b"0\r\n\r\n", b"-1", b"ffffffffffffffff"),
    *(b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"content-encoding: gzip\r\n"),
    *(b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 ", b"HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
    *(b"data: ", b"data: [DONE]\n\n", b"[DONE]", b"null", b"{}", b"[]", b'"', b"\\ud800", b"1e999", b"[" * 2_000),
]
PIECES = st.one_of(st.binary(max_size=12), st.sampled_from(WORDS))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid response of which some pieces are cut out, doubled, or put in the place of others."""
    wire = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(wire)))
        end = min(len(wire), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 50])))
        piece = draw(st.one_of(PIECES, st.just(wire[start:end] * 2)))
        wire = wire[:start] + piece + wire[end:]
    return wire


WIRES = st.one_of(
    mutated(), st.builds(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest, st.binary()), st.binary(max_size=300)
)
LASTS: st.SearchStrategy[Script] = st.sampled_from([[CLOSE], [CLOSE], [CLOSE], [RESET], []])


SHORT = Timeouts(headers=0.06, idle=0.06, first_content=0.1, stall=0.1, attempt=0.3)


class World:
    """A server on an event loop of its own, used for one response after another."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._accidents: list[dict[str, Any]] = []
        runner.get_loop().set_exception_handler(lambda _, context: self._accidents.append(context))
        self.server = ScriptedServer([[]])
        runner.run(self.server.__aenter__())

    def ending(self, script: Script, *, stream: bool) -> str | DeepSeekError:
        """How a call to which ``script`` is the answer ends. Nothing of it may be left, nor be met by the next one."""
        return self._runner.run(self._ending(script, stream=stream))

    async def _ending(self, script: Script, *, stream: bool) -> str | DeepSeekError:
        options: dict[str, Any] = {"retry": 1, "breaker": False, "max_concurrency": 4}
        async with AsyncDeepSeek(api_key=CANARY, base_url=self.server.url, **options) as client, asyncio.timeout(120):
            self.server.scripts = [script]
            (ended,) = await asyncio.gather(said_by(client, stream=stream, timeout=SHORT), return_exceptions=True)
            assert isinstance(ended, str | DeepSeekError), repr(ended)
            if isinstance(ended, DeepSeekError):
                assert str(ended).isprintable()
                assert SECRET not in everything_shown_by(ended)
            account_limiter = client._context.caller().account_limiter
            assert (account_limiter.in_flight, account_limiter.waiting) == (0, 0)
            if not isinstance(ended, AuthenticationError | PermissionDeniedError | InsufficientBalanceError):
                # These hold for the key; after all others the client goes on as if nothing had happened.
                self.server.scripts = [[response(answer("the next"))]]
                assert await said_by(client, stream=False) == "the next"
        assert self._accidents == []
        return ended

    async def close(self) -> None:
        """Stop the server; nothing may run on the loop then."""
        await self.server.stop()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.fixture
def world(each_transport: str) -> Iterator[World]:
    with asyncio.Runner() as runner:
        made = World(runner)
        yield made
        runner.run(made.close())


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int | None:
    number: int | None = request.config.getoption("examples", default=None)
    return number


@pytest.fixture
def step(examples: int | None) -> int:
    """Every so many bytes a response is cut."""
    return 1 if examples else 13


@pytest.mark.timeout(3600)
def test_any_bytes_end_in_an_answer_or_an_error_of_ours(world: World, examples: int | None):
    @settings(max_examples=examples or often(200), deadline=None, suppress_health_check=list(HealthCheck))
    @given(WIRES, LASTS, st.lists(st.integers(0, 3_000), max_size=3), st.booleans())
    def ends_well(wire: bytes, last: Script, places: list[int], stream: bool) -> None:
        edges = sorted({0, len(wire), *(place % (len(wire) + 1) for place in places)})
        world.ending([*(wire[a:b] for a, b in pairwise(edges)), *last], stream=stream)

    ends_well()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("last", [CLOSE, RESET], ids=["close", "reset"])
@pytest.mark.parametrize("whole", [ANSWER, UNBOUNDED, PACKED], ids=["length", "until close", "gzip"])
def test_n6_a_plain_answer_cut_at_any_byte_is_never_a_result(world: World, whole: bytes, last: Any, step: int):
    for place in range(0, len(whole), step):
        assert isinstance(world.ending([whole[:place], last], stream=False), DeepSeekError), place


@pytest.mark.timeout(600)
@pytest.mark.parametrize("last", [CLOSE, RESET], ids=["close", "reset"])
@pytest.mark.parametrize(
    "before",
    [STREAM_HEAD + b"1000\r\n", head(content_length="9999"), head(connection="close")],
    ids=["chunks", "length", "close"],
)
def test_s5_a_stream_cut_at_any_byte_is_a_result_only_after_its_finish_reason(
    world: World,
    before: bytes,
    last: Any,
    step: int,
):
    whole = before + EVENTS
    for place in range(0, len(whole), step):
        ended = world.ending([whole[:place], last], stream=True)
        assert isinstance(ended, DeepSeekError) or (ended == "Hello" and place >= whole.index(DONE)), place
