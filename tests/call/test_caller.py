"""Where calls go: paths of DeepSeek's beta base at DeepSeek and what stands in for it only, and what a 404 names."""

from __future__ import annotations

import pytest
from support.clients import Connect, ask, failure_of
from support.servers import ANSWER, ScriptedServer, Serve, response

from deepseek_async import AsyncDeepSeek, Endpoint, NotFoundError
from deepseek_async.errors import APIStatusError

PREFIX = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "He", "prefix": True}]}
STRICT = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "strict": True,
                "parameters": {"type": "object", "properties": {}, "additionalProperties": False, "required": []},
            },
        },
    ],
}
BETA = "/beta/chat/completions"
PLAIN = "/chat/completions"


@pytest.mark.parametrize(
    ("base_url", "beta"),
    [
        ("https://api.deepseek.com", True),
        ("https://api.deepseek.com/v1", True),
        ("https://eu.api.deepseek.com", True),
        ("http://127.0.0.1:1", True),
        ("http://localhost:1/v1", True),
        ("https://openrouter.example/api/v1", False),
        ("https://deepseek.com.evil.example", False),
        ("https://notdeepseek.com/v1", False),
        ("https://gateway.example/deepseek.com", False),
    ],
)
async def test_a_beta_base_is_deepseeks_and_of_what_stands_in_for_it_on_this_machine(base_url: str, beta: bool):
    async with AsyncDeepSeek(api_key="sk-0123456789", base_url=base_url, trust_env=False) as client:
        assert client._context.caller().beta is beta


@pytest.mark.parametrize("needs", [PREFIX, STRICT])
@pytest.mark.parametrize("base", ["", "/v1"])
@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_without_a_beta_base_is_asked_beside_it_and_from_then_on(
    serve: Serve,
    connect: Connect,
    needs: dict,
    base: str,
    status: int,
):
    server = await serve([response(b'{"detail":"Not Found"}', status)], [ANSWER])
    client = connect(f"{server.url}{base}", lint="off", max_retries=0, retry=None)
    for _ in range(2):
        assert (await ask(client, **needs)).choices[0].message.content == "Hello"
    assert paths(server) == [BETA, base + PLAIN, base + PLAIN]


async def test_a_fallback_elsewhere_is_asked_below_its_own_base(serve: Serve, connect: Connect):
    home, other = await serve([response(b"", 500)]), await serve([ANSWER])
    client = connect(home, lint="off", retry=1, fallback=Endpoint(f"{other.url}/v1", "sk-other-0123456789"))
    assert (await ask(client, **PREFIX)).fallback == f"{other.url}/v1"
    assert (paths(home), paths(other)) == ([BETA], ["/v1" + PLAIN])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [404, 405])
async def test_what_is_not_there_is_named_by_its_url(serve: Serve, connect: Connect, stream: bool, status: int):
    server = await serve([response(b"", status)])
    error = await failure_of(connect(f"{server.url}/v2"), stream=stream)
    assert f"{server.url}/v2/chat/completions" in str(error)
    assert "base_url" in str(error)


async def test_what_else_is_refused_needs_no_url(serve: Serve, connect: Connect):
    server = await serve([response(b'{"error": {"message": "no"}}', 400)])
    error = await failure_of(connect(server), stream=False)
    assert isinstance(error, APIStatusError)
    assert server.url not in str(error)


async def test_an_object_that_is_not_there_is_named_by_its_url(serve: Serve, connect: Connect):
    server = await serve([response(b'{"error": {"message": "No such file"}}', 404)])
    with pytest.raises(NotFoundError, match="No such file") as caught:
        await connect(server).files.retrieve("file-a/b")
    assert f"{server.url}/files/file-a%2Fb" in str(caught.value)


def paths(server: ScriptedServer) -> list[str]:
    return [request.path for request in server.requests]
