"""What goes on the wire for each parameter of a chat request."""

from __future__ import annotations

import inspect
import json
import math
from typing import Any

import pytest
from aioresponses import aioresponses
from support.clients import AT_ONCE
from support.servers import CANARY, answer
from yarl import URL

from deepseek_async import (
    AsyncDeepSeek,
    ChatCompletion,
    ConfigurationError,
    IgnoredParameterWarning,
    InvalidRequestError,
    ServerOverloadedError,
    Timeouts,
)

MESSAGES = [{"role": "user", "content": "Hi"}]
ADDRESS = "https://api.deepseek.com/chat/completions"


class Wire:
    """A client whose requests are answered and recorded in place of the network."""

    def __init__(self, client: AsyncDeepSeek, mocked: aioresponses) -> None:
        self.client = client
        self.mocked = mocked

    @property
    def sent(self) -> list[Any]:
        return self.mocked.requests.get(("POST", URL(ADDRESS)), [])

    async def create(self, **parameters: Any) -> Any:
        self.mocked.post(ADDRESS, payload=answer())
        return await self.client.chat.completions.create(
            **{"model": "deepseek-flash", "messages": MESSAGES, **parameters},
        )

    async def body(self, **parameters: Any) -> dict[str, Any]:
        await self.create(**parameters)
        body: dict[str, Any] = json.loads(self.sent[-1].kwargs["data"])
        return body


@pytest.fixture
async def wire():
    with aioresponses() as mocked:
        async with AsyncDeepSeek(api_key=CANARY, retry=AT_ONCE) as client:
            yield Wire(client, mocked)


async def test_parameters_left_out_are_not_sent(wire: Wire):
    assert await wire.body() == {"model": "deepseek-flash", "messages": MESSAGES}
    assert await wire.body(temperature=None, stop=None, stream=None, seed=None) == {
        "model": "deepseek-flash",
        "messages": MESSAGES,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 5),
        ("temperature", 0.0),
        ("top_p", 0.5),
        ("stop", ["a", "b"]),
        ("thinking", {"type": "disabled"}),
        ("reasoning_effort", "max"),
        ("response_format", {"type": "json_object"}),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "auto"),
        ("logprobs", True),
        ("top_logprobs", 0),
        ("presence_penalty", 0),
        ("frequency_penalty", -1.5),
        ("n", 1),
        ("user_id", "u_1"),
        ("stream", False),
        ("stream_options", {"include_usage": True}),
    ],
)
async def test_each_parameter_goes_out_under_its_own_name(wire: Wire, name: str, value: Any):
    assert (await wire.body(**{name: value}, lint="off"))[name] == value


async def test_a_cap_under_openais_name_is_translated_because_deepseek_would_drop_it(wire: Wire):
    body = await wire.body(max_completion_tokens=7)
    assert body["max_tokens"] == 7
    assert "max_completion_tokens" not in body
    assert (await wire.body(max_completion_tokens=7, max_tokens=7))["max_tokens"] == 7


async def test_two_caps_that_contradict_each_other_are_refused(wire: Wire):
    with pytest.raises(InvalidRequestError, match=r"max_tokens.*8.*7"):
        await wire.create(max_completion_tokens=7, max_tokens=8)
    assert wire.sent == []


@pytest.mark.parametrize("name", ["enable_thinking", "user", "metadata", "store", "service_tier", "no_such_thing"])
async def test_a_parameter_without_effect_is_sent_and_warned_about_at_the_callers_line(wire: Wire, name: str):
    wire.mocked.post(ADDRESS, payload=answer())
    with pytest.warns(IgnoredParameterWarning, match=name) as caught:  # noqa: PT031
        frame = inspect.currentframe()
        assert frame is not None
        line = frame.f_lineno + 1
        await wire.client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, **{name: "x"})
    assert [(warned.filename, warned.lineno) for warned in caught] == [(__file__, line)]
    assert json.loads(wire.sent[-1].kwargs["data"])[name] == "x"


async def test_extra_body_goes_out_unchecked_and_without_a_warning(wire: Wire):
    body = await wire.body(extra_body={"seed": 1, "prefix": {"a": None}}, max_tokens=3)
    assert (body["seed"], body["prefix"], body["max_tokens"]) == (1, {"a": None}, 3)


async def test_extra_headers_go_out_beside_our_own(wire: Wire):
    await wire.create(extra_headers={"X-Mine": "1"})
    headers = wire.sent[-1].kwargs["headers"]
    assert headers["X-Mine"] == "1"
    assert headers.getall("Authorization") == [f"Bearer {CANARY}"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"messages": []}, "empty"),
        ({"messages": "Hi"}, "list"),
        ({"messages": {"role": "user"}}, "list"),
        ({"messages": None}, "list"),
        ({"messages": [{"role": "user", "content": "\ud83d"}]}, "surrogate"),
        ({"extra_headers": {"Authorization": "Bearer another"}}, "Authorization"),
        ({"extra_headers": {"authorization": "Bearer another"}}, "Authorization"),
        ({"extra_headers": {"X": 3}}, r"extra_headers\['X'\] must be a string"),
        ({"extra_headers": {"X": "a\r\nb"}}, "line break"),
        ({"extra_headers": {"bad name": "a"}}, "bad name"),
        ({"extra_headers": {3: "a"}}, "3"),
        ({"extra_headers": {"Content-Length": "7"}}, "Content-Length"),
        ({"extra_headers": [("X", "a")]}, "extra_headers must be a mapping"),
        ({"extra_body": "x"}, "extra_body must be a mapping"),
        ({"extra_body": [1]}, "extra_body must be a mapping"),
        ({"lint": "loud"}, "lint must be one of off, warn"),
        ({"lint": ""}, "lint must be one of off, warn"),
        ({"temperature": math.nan}, "temperature must be a finite number, got nan"),
        ({"top_p": math.inf}, "top_p must be a finite number, got inf"),
    ],
)
async def test_a_request_that_cannot_be_sent_is_refused_before_anything_is(wire: Wire, parameters: dict, said: str):
    with pytest.raises(InvalidRequestError, match=said) as caught:
        await wire.create(**parameters)
    assert isinstance(caught.value, ValueError)
    assert caught.value.attempts == 0
    assert wire.sent == []


@pytest.mark.parametrize("timeout", [0, -1, "5", "soon", [5], True])
async def test_a_wrong_timeout_of_one_call_is_named(wire: Wire, timeout: Any):
    with pytest.raises(ConfigurationError, match=r"timeout"):
        await wire.create(timeout=timeout)


async def test_a_timeout_of_one_call_may_be_a_number_or_timers(wire: Wire):
    assert isinstance(await wire.create(timeout=5), ChatCompletion)
    assert isinstance(await wire.create(timeout=Timeouts(idle=5)), ChatCompletion)


async def test_a_status_is_an_error_with_the_headers_facts(wire: Wire):
    for _ in range(AT_ONCE.max_attempts):
        wire.mocked.post(ADDRESS, status=503, headers={"Retry-After": "0", "x-ds-trace-id": "t1"}, body="slow")
    with pytest.raises(ServerOverloadedError, match="slow") as caught:
        await wire.client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)
    assert (caught.value.request_id, caught.value.retry_after, caught.value.attempts) == ("t1", 0, 4)


async def test_tokens_are_estimated_only_for_a_tokens_limit():
    with aioresponses() as mocked:
        mocked.post(ADDRESS, payload=answer())
        async with AsyncDeepSeek(api_key=CANARY, tokens_per_minute=1e9) as client:
            before = client._context.caller().account_limiter.rates._tokens._paid_until
            await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, max_tokens=100)
            assert client._context.caller().account_limiter.rates._tokens._paid_until != before
