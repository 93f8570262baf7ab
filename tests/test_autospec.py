"""``unittest.mock`` sees the client as it is: every resource, and every method with its signature."""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import AsyncMock, create_autospec, patch

import pytest

import deepseek_async
from deepseek_async import AsyncDeepSeek, ChatCompletion
from deepseek_async.blocking import DeepSeek

ASKED: dict[str, Any] = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}]}

CALLS = [
    "chat.completions.create",
    "chat.completions.run_tools",
    "completions.create",
    "responses.create",
    "messages.create",
    "embeddings.create",
    "images.generate",
    "files.create",
    "fine_tunes.create",
    "models.list",
    "user.balance",
    "tools.search",
    "batch.run",
    "aclose",
]


def named(client: Any, path: str) -> Any:
    for name in path.split("."):
        client = getattr(client, name)
    return client


@pytest.mark.parametrize("path", CALLS)
def test_every_call_of_a_client_is_one_of_its_mock(path: str):
    mocked = named(create_autospec(AsyncDeepSeek, instance=True), path)

    assert isinstance(mocked, AsyncMock) or inspect.iscoroutinefunction(mocked)
    with pytest.raises(TypeError):
        mocked(*range(9))


async def test_a_mock_answers_what_it_is_told():
    client = create_autospec(AsyncDeepSeek, instance=True)
    client.chat.completions.create.return_value = ChatCompletion(id="told")

    answer = await client.chat.completions.create(**ASKED)

    assert answer.id == "told"
    client.chat.completions.create.assert_awaited_once_with(**ASKED)


def test_the_mock_of_a_blocking_client_has_its_resources_too():
    client = create_autospec(DeepSeek, instance=True)
    client.chat.completions.create.return_value = ChatCompletion(id="told")

    assert client.chat.completions.create(**ASKED).id == "told"
    assert not isinstance(client.models.list, AsyncMock)
    with pytest.raises(TypeError):
        client.models.list(*range(9))
    with pytest.raises(AttributeError):
        _ = client.chat.completions.creat


async def test_a_patched_class_gives_mocks_of_clients():
    with patch("deepseek_async.AsyncDeepSeek", autospec=True) as mocked:
        client = deepseek_async.AsyncDeepSeek(api_key="sk-test")
        mocked.return_value.chat.completions.create.return_value = ChatCompletion(id="told")

        assert (await client.chat.completions.create(**ASKED)).id == "told"
        mocked.return_value.__aenter__.return_value = mocked.return_value
        async with deepseek_async.AsyncDeepSeek() as entered:
            assert (await entered.chat.completions.create(**ASKED)).id == "told"


def test_a_mock_has_nothing_that_a_client_has_not():
    client = create_autospec(AsyncDeepSeek, instance=True)
    with pytest.raises(AttributeError):
        _ = client.chat.completions.creat
    with pytest.raises(AttributeError):
        _ = client.chats


async def test_a_resource_is_made_once_and_anew_for_other_options():
    async with AsyncDeepSeek(api_key="sk-test", base_url="http://127.0.0.1:9") as client:
        other = client.with_options(timeout=5)

        assert client.chat is client.chat
        assert client.chat.completions is client.chat.completions
        assert client.batch is client.batch
        assert other.chat is not client.chat
        assert other.batch is not client.batch
