"""Answers of a client as LangChain gives them to its caller. One that cannot be converted is in the error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from langchain_core.messages import LC_ID_PREFIX, AIMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig

from deepseek_async.integrations.connection import Connection
from deepseek_async.integrations.langchain.answers import (
    FORM,
    chunk_of,
    last_chunk_of,
    message_of,
    result_of,
)
from deepseek_async.integrations.unconvertible import unconvertible
from deepseek_async.resources.chat import Completions
from deepseek_async.types import ChatCompletion


def generations_of(connection: Connection, completion: ChatCompletion) -> ChatResult:
    """Return all choices. Raises APIResponseValidationError with the answer as ``partial``."""
    return result_of(completion, connection.client.cost_of(completion).total)


def answer_of(connection: Connection, completion: ChatCompletion, config: RunnableConfig) -> AIMessage:
    """Return the first choice, as ``invoke`` does. Raises APIResponseValidationError with the answer as ``partial``."""
    try:
        message = message_of(completion, completion.choices[0], connection.client.cost_of(completion).total)
    except Exception as error:
        raise unconvertible(completion, FORM, error) from error
    message.id = f"{LC_ID_PREFIX}-{config.get('run_id') or uuid4()}-0"
    return message


async def chunks_of(
    connection: Connection, completions: Completions, request: dict[str, Any]
) -> AsyncIterator[ChatGenerationChunk]:
    """Yield the chunks of a streamed answer. Raises APIResponseValidationError with the answer as ``partial``."""
    async with await completions.create(**request, stream=True) as stream:
        async for chunk in stream:
            try:
                made = chunk_of(chunk)
            except Exception as error:
                raise unconvertible(stream.partial, FORM, error) from error
            if made is not None:
                yield made
        completion = stream.completion
    try:
        last = last_chunk_of(completion, connection.client.cost_of(completion).total)
    except Exception as error:
        raise unconvertible(completion, FORM, error) from error
    yield last
